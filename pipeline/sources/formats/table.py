"""What Parquet and Arrow have in common: columns that are read as rows. A record's place is its row, from 0."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pipeline.sources.formats.base import UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.columnar import batches, bytes_for_strings
from pipeline.sources.formats.streams import BrokenStream

UNCONVERTIBLE = "unconvertible-value"


class Table(Format):
    """A file of rows with named columns. It is looked through by a child process before it is read."""

    kind: ClassVar[str]
    sequential = False

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        with file.plain() as path:
            if fault := file.inspector.fault(path, self.kind):
                raise BrokenStream(fault)
            place = 0
            for batch in batches(path, self.kind):
                yield from _records(batch, place, text_field)
                place += batch.num_rows


def _records(batch: Any, first: int, text_field: str) -> Iterator[Record | Bad]:
    import pyarrow.types as types

    names = batch.schema.names
    strings = [column for column, kind in enumerate(batch.schema.types) if _is_string(types, kind)]
    for place, values in enumerate(_rows(bytes_for_strings(batch)), first):
        if values is None:
            yield Bad(place, UNCONVERTIBLE)
            continue
        row = list(values)
        try:
            for column in strings:
                if row[column] is not None:
                    row[column] = row[column].decode()
        except UnicodeDecodeError:
            yield Bad(place, UNDECODABLE)
        else:
            fields = dict(zip(names, row, strict=True))
            yield Record(place, fields.pop(text_field, None), fields)


def _is_string(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _rows(batch: Any) -> Iterator[Sequence[Any] | None]:
    """The rows of a batch as Python values; None for one with a value that Python has no equal of, such as the year 20000."""
    try:
        yield from zip(*[column.to_pylist() for column in batch.columns], strict=True)
    except (ValueError, OverflowError):
        if batch.num_rows == 1:
            yield None
        else:
            for row in range(batch.num_rows):
                yield from _rows(batch.slice(row, 1))
