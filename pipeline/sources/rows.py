"""Rows of files, in memory while they are few, and else in a temporary file that is mapped."""

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa

from pipeline.errors import RequestError

SCHEMA = pa.schema([("path", pa.large_binary()), ("bytes", pa.int64()), ("mark", pa.large_string())])
"""Paths are UTF-8, in which half characters may stand as well: so their bytes are in order as the paths are."""
BATCH_FILES = 1 << 15
"""Files that are held as objects, or compared, at a time; a table of more than one such batch is kept in a file."""


@dataclass(frozen=True)
class Rows:
    """A table, and the file that it is mapped from, if it is."""

    table: pa.Table
    mapped: mmap.mmap | None = None

    def part(self, place: slice) -> "Rows":
        return Rows(self.table[place], self.mapped)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The table piece by piece: what has been gone through is let go."""
        for batch in self.table.to_batches(max_chunksize=BATCH_FILES):
            yield batch
            self.let_go()

    def let_go(self) -> None:
        """Count no page of the file as memory of this process until it is looked at again."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)


def held(batches: Iterable[pa.RecordBatch]) -> Rows:
    """Batches as one table. More than one are not in memory, but in a temporary file without a name, which ends with the table.

    Raises RequestError where there is no room for it.
    """
    batches = iter(batches)
    head = list(islice(batches, 2))
    if len(head) < 2:
        return Rows(pa.Table.from_batches(head, SCHEMA))
    with _room():
        file = tempfile.TemporaryFile(prefix="millrace-")  # noqa: SIM115 (where it cannot be written, closing it fails as well)
    try:
        writer = pa.ipc.new_file(pa.PythonFile(file, mode="w"), SCHEMA)
        for batch in chain(head, batches):
            with _room():
                writer.write_batch(batch)
        with _room():
            writer.close()
            file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    finally:
        with suppress(OSError):  # what could not be written has been told
            file.close()
    return Rows(pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), mapped)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = tempfile.gettempdir()
        raise RequestError(
            f"cannot keep a listing in {where!r}: {problem.strerror}; make room, or set TMPDIR to another folder"
        ) from problem
