"""Parquet files."""

from pipeline.sources.formats.table import Table


class Parquet(Table):
    """Parquet, with any of its own compressions."""

    suffixes = (".parquet",)
    kind = "parquet"
