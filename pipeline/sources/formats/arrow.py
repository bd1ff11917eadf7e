"""Arrow IPC: the file, and the stream that `datasets` keeps."""

from pipeline.sources.formats.table import Table


class Arrow(Table):
    """Arrow IPC files and streams, told apart by how they begin."""

    suffixes = (".arrow", ".arrows", ".feather")
    kind = "arrow"
