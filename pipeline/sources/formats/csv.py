"""CSV and TSV with a header. A record's place is the line on which it begins, from 1; blank lines are no records.

Quoting is RFC 4180's, for tabs as well: a cell may be in double quotes, and hold line ends then, which stay as
they are. Everything is text: no cell is turned into a number.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pipeline.sources.formats.base import RECORD_BYTES, TOO_LARGE, UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.lines import MALFORMED, encoding_of, open_text, text_lines
from pipeline.sources.formats.streams import BrokenStream

MALFORMED_CSV, SHORT_ROW, LONG_ROW = "malformed-csv", "short-row", "long-row"


class Csv(Format):
    """Comma-separated values."""

    suffixes = (".csv",)
    delimiter: ClassVar[str] = ","

    def __init__(self, header: Sequence[str] = ()) -> None:
        """`header` names the columns of files that do not name them in their first row."""
        self.header = list(header)

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        with file.open() as stream, open_text(stream, encoding_of(stream), "") as text:
            rows = self._rows(_bounded(text_lines(text)))
            _, header = (0, self.header) if self.header else next(rows, (0, []))
            if isinstance(header, str):
                raise BrokenStream(header)
            for place, row in rows:
                if isinstance(row, str):
                    yield Bad(place, row)
                elif len(row) != len(header):
                    yield Bad(place, SHORT_ROW if len(row) < len(header) else LONG_ROW)
                elif any(MALFORMED in cell for cell in row):
                    yield Bad(place, UNDECODABLE)
                else:
                    fields = dict(zip(header, row, strict=True))
                    yield Record(place, fields.pop(text_field, None), fields)

    def _rows(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str] | str]]:
        """The rows that are not blank, each with its first line; for one that is malformed the reason."""
        csv.field_size_limit(RECORD_BYTES)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            place = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield place, TOO_LARGE if "field limit" in str(problem) else MALFORMED_CSV
            else:
                if row:
                    yield place, row


class Tsv(Csv):
    """Tab-separated values."""

    suffixes = (".tsv",)
    delimiter = "\t"


def _bounded(lines: Iterator[str | None]) -> Iterator[str]:
    """After a line that is too long, nothing tells where a row begins."""
    for line in lines:
        if line is None:
            raise BrokenStream(TOO_LARGE)
        yield line
