"""Listed files without an object for each: a sequence that makes them when they are asked for."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.rows import BATCH_FILES, SCHEMA, Rows, held

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as it was found: its path or URL, its size in bytes, and what changes when its content does."""

    path: str
    bytes: int
    mark: str
    """ "sha256:…" of a local file, "etag:…" or the like of a remote one."""


def shown(path: str) -> str:
    """A path as text, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Catalogue(Sequence[ListedFile]):
    """Listed files in order of their names. Each is made when it is asked for; a slice is a catalogue of the same table."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @classmethod
    def of(cls, files: Iterable[ListedFile]) -> "Catalogue":
        """Files in any order."""
        rows = held(_batches(files))
        return Catalogue(rows if _in_order(rows) else _sorted(rows))

    @property
    def rows(self) -> Rows:
        """The columns of SCHEMA."""
        return self._rows

    def __len__(self) -> int:
        count: int = self.rows.table.num_rows
        return count

    @overload
    def __getitem__(self, place: int) -> ListedFile: ...

    @overload
    def __getitem__(self, place: slice) -> "Catalogue": ...

    def __getitem__(self, place: int | slice) -> "ListedFile | Catalogue":
        if isinstance(place, slice):
            return Catalogue(self.rows.part(place))
        path, size, mark = (column[place].as_py() for column in self.rows.table.columns)
        return ListedFile(_path(path), size, mark)

    def __iter__(self) -> Iterator[ListedFile]:
        for batch in self.rows.batches():
            paths, sizes, marks = (column.to_pylist() for column in batch.columns)
            yield from map(ListedFile, map(_path, paths), sizes, marks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return len(self) == len(other) and bool(self.rows.table.equals(other.rows.table))

    __hash__ = None  # type: ignore[assignment]  # it would have to read all of the table

    def only(self, chosen: Mask) -> "Catalogue":
        """The files for which `chosen` holds."""
        parts = (batch.filter(pa.array(chosen[start : start + batch.num_rows])) for start, batch in _numbered(self.rows))
        return Catalogue(held(part for part in parts if part.num_rows))


def _path(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _batches(files: Iterable[ListedFile]) -> Iterator[pa.RecordBatch]:
    files = iter(files)
    while rows := list(islice(files, BATCH_FILES)):
        paths = [file.path.encode("utf-8", "surrogatepass") for file in rows]
        sizes = np.fromiter((file.bytes for file in rows), np.int64, len(rows))
        columns = [
            _bytes_array(paths, pa.large_binary()),
            _number_array(sizes),
            _bytes_array([file.mark.encode() for file in rows], pa.large_string()),
        ]
        yield pa.record_batch(columns, schema=SCHEMA)


def _bytes_array(values: Sequence[bytes], kind: pa.DataType) -> pa.Array:
    """An array of its buffers: `pa.array` would load pandas first, which takes as long as all of a refresh with nothing to do."""
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))])


def _number_array(values: npt.NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), values.size, [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def _numbered(rows: Rows) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a table, each with the number of its first row."""
    start = 0
    for batch in rows.batches():
        yield start, batch
        start += batch.num_rows


def _in_order(rows: Rows) -> bool:
    names = rows.table["path"]
    found = bool(pc.all(pc.less_equal(names[:-1], names[1:]), min_count=0).as_py())
    rows.let_go()
    return found


def _sorted(rows: Rows) -> Rows:
    """A table of full batches (the last may be shorter) in order of its paths."""
    batches = rows.table.to_batches(max_chunksize=BATCH_FILES)
    order = np.frombuffer(pc.sort_indices(rows.table["path"]).buffers()[1], np.uint64)  # to_numpy would load pandas, too
    return held(_gathered(batches, order[start : start + BATCH_FILES]) for start in range(0, len(order), BATCH_FILES))


def _gathered(batches: Sequence[pa.RecordBatch], rows: npt.NDArray[np.uint64]) -> pa.RecordBatch:
    """Some rows of full batches, given by their numbers over all: from each batch at once, and then in their order."""
    near = np.argsort(rows)
    bounds = np.arange(len(batches) + 1, dtype=np.uint64) * np.uint64(BATCH_FILES)
    cuts = np.searchsorted(rows[near], bounds)
    taken = [
        batch.take(_number_array(rows[near[cuts[number] : cuts[number + 1]]] - bounds[number]))
        for number, batch in enumerate(batches)
        if cuts[number] < cuts[number + 1]
    ]
    return pa.concat_batches(taken).take(_number_array(np.argsort(near)))
