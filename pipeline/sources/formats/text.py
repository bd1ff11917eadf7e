"""Plain text, Markdown, reStructuredText and Python: a file is one document, at place 0."""

from collections.abc import Iterator

from pipeline.sources.formats.base import RECORD_BYTES, TOO_LARGE, UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.encodings import BINARY, declared, decode


class Text(Format):
    """One document a file, in whatever encoding. Lines keep their ends; a byte-order mark is no part of the text."""

    has_fields = False
    suffixes = (".txt", ".text", ".md", ".markdown", ".rst", ".py")

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:  # noqa: ARG002 (a text file has no fields)
        with file.open() as stream:
            data = stream.read(RECORD_BYTES + 1)
        if len(data) > RECORD_BYTES:
            yield Bad(0, TOO_LARGE)
        elif (text := decode(data, declared(data) if ".py" in file.name.lower() else None)) is None:
            yield Bad(0, BINARY if b"\0" in data else UNDECODABLE)
        else:
            yield Record(0, text, {})
