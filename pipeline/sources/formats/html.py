"""A web page as a file: one document, at place 0."""

from collections.abc import Iterator

from pipeline.sources.extraction.page import PAGE_BYTES
from pipeline.sources.formats.base import Bad, Format, Record, SourceFile


class Html(Format):
    """The main text of a page; its title and the like become `meta`."""

    has_fields = False
    suffixes = (".html", ".htm")

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:  # noqa: ARG002 (a page has no field for its text)
        with file.open() as stream:
            data = stream.read(PAGE_BYTES + 1)
        page = file.extractor.page(data)
        yield Bad(0, page) if isinstance(page, str) else Record(0, page.text, page.fields)
