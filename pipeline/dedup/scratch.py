"""Arrow files that one phase of deduplication leaves for a later one: uncompressed, so that they are mapped, not read."""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

Numbers = NDArray[Any]


def write_scratch(unit: Unit, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write record batches as one scratch file, holding one batch in memory at a time."""
    write_table(unit.scratch, kind, schema, batches)


def write_table(write: Callable[..., FileEntry], kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """The same by `unit.scratch`, or by `unit.write` as a file of the artifact."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        draft = Path(folder, "table.arrow")
        rows = 0
        with pa.ipc.new_file(draft, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        write(kind, draft, ".arrow", rows)


def write_bins(unit: Unit, kind: str, schema: pa.Schema, batches: Iterable[tuple[int, pa.RecordBatch]]) -> None:
    """Write (bin, record batch) pairs, a scratch file a bin as `KIND-BIN`, holding one batch in memory at a time."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        drafts: dict[int, Path] = {}
        with ExitStack() as stack:
            writers: dict[int, Any] = {}
            for number, batch in batches:
                if number not in writers:
                    drafts[number] = Path(folder, f"{number}.arrow")
                    writers[number] = stack.enter_context(pa.ipc.new_file(drafts[number], schema))
                writers[number].write_batch(batch)
        for number, draft in sorted(drafts.items()):
            unit.scratch(f"{kind}-{number:06d}", draft, ".arrow")


def read_scratch(unit: Unit, entry: FileEntry) -> pa.Table:
    """A scratch file of an earlier unit, mapped into memory."""
    with pa.memory_map(str(unit.local(entry))) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def read_all(unit: Unit, entries: Iterable[FileEntry], schema: pa.Schema) -> pa.Table:
    """The rows of several scratch files with this schema, end to end, mapped into memory."""
    return pa.concat_tables([schema.empty_table(), *(read_scratch(unit, entry) for entry in entries)])


def rows_at(values: pa.ChunkedArray, rows: Numbers) -> pa.Array:
    """Some rows of a column in any order, without touching the chunks that have none of them."""
    if not rows.size:
        return pa.array([], values.type)
    starts = np.cumsum([0, *map(len, values.chunks)])
    holders = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(holders, kind="stable")
    touched, firsts = np.unique(holders[order], return_index=True)
    parts = [
        values.chunk(chunk).take(pa.array(rows[places] - starts[chunk]))
        for chunk, places in zip(touched.tolist(), np.split(order, firsts[1:]), strict=True)
    ]
    back = np.empty(rows.size, np.int64)
    back[order] = np.arange(rows.size)
    return pa.concat_arrays(parts).take(pa.array(back))


def number_rows(values: pa.ChunkedArray) -> Numbers:
    """A column of fixed-size lists of numbers as an array, [rows, size]."""
    parts = [chunk.flatten().to_numpy() for chunk in values.chunks]
    return (np.concatenate(parts) if parts else np.empty(0, np.uint64)).reshape(-1, values.type.list_size)
