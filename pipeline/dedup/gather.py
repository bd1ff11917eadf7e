"""Gather: the shingle sets of documents that have candidates, out of the shards and into the bins.

Of a shard with few such documents a small part is read, so it is not read whole for its checksum: every text that is used is held against
its exact key, which the sketch has, and the sketch was checked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.bins import gathered_schema
from pipeline.dedup.clusters import SETTLED
from pipeline.dedup.exact import exact_keys
from pipeline.dedup.scratch import number_rows, rows_at
from pipeline.dedup.shingles import Buffers, shingles, text_buffers
from pipeline.documents import SCHEMA, Documents
from pipeline.errors import Damaged
from pipeline.workflow.artifact import FileEntry


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The documents of a shard that are to be looked at: their rows, in order; and of each what its sketch and MEMBERS say.

    `batches` are the rows at which the record batches of the shard begin, and its end.
    """

    rows: NDArray[np.int64]
    bins: NDArray[np.int64]
    ids: pa.Array
    keys: NDArray[np.uint64]
    bands: NDArray[np.uint64]
    open: NDArray[np.bool_]
    batches: NDArray[np.int64]


def wanted(members: pa.Table, sketch: pa.Table, first: int) -> Wanted:
    """What to gather from the shard whose documents are numbered from `first` on: those that are not settled."""
    since, until = np.searchsorted(members["document"].to_numpy(), [first, first + sketch.num_rows]).tolist()
    mine = members.slice(since, until - since)
    mine = mine.filter(pc.not_equal(mine["bin"], SETTLED))
    rows = mine["document"].to_numpy() - first
    return Wanted(
        rows=rows,
        bins=mine["bin"].to_numpy(),
        ids=rows_at(sketch["id"], rows),
        keys=np.stack([rows_at(sketch[name], rows).to_numpy() for name in ("exact_high", "exact_low")], axis=1),
        bands=number_rows(pa.chunked_array([rows_at(sketch["bands"], rows)])),
        open=mine["open"].to_numpy(),
        batches=np.cumsum([0, *map(len, sketch["id"].chunks)]),  # a sketch has a record batch for each of its shard
    )


def gather(
    texts: Iterable[tuple[slice, Buffers]], wanted: Wanted, first: int, width: int, characters: bool
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(bin, record batch) pairs of a shard, from the texts of the wanted documents."""
    schema = gathered_schema(wanted.bands.shape[1])
    for mine, buffers in texts:
        columns = [
            pa.array(first + wanted.rows[mine]),
            wanted.ids[mine],
            shingle_sets(buffers, width, characters),
            pa.FixedSizeListArray.from_arrays(pa.array(wanted.bands[mine].reshape(-1)), wanted.bands.shape[1]),
            pa.array(wanted.open[mine]),
        ]
        gathered = pa.record_batch(columns, schema=schema)
        for number in np.unique(wanted.bins[mine]).tolist():
            yield number, gathered.filter(pa.array(wanted.bins[mine] == number))


def wanted_texts(documents: Documents, shard: FileEntry, wanted: Wanted) -> Iterator[tuple[slice, Buffers]]:
    """The texts of the wanted documents of a shard, of a record batch at a time; raises Damaged where one is not what was sketched."""
    try:
        for mine, buffers in _read(documents, shard, wanted):
            if not np.array_equal(exact_keys(buffers), wanted.keys[mine]):
                raise pa.ArrowInvalid("other texts")
            yield mine, buffers
    except (pa.ArrowException, ValueError, OSError) as problem:
        documents.local(shard)  # says what is wrong with it
        raise Damaged(f"{shard.path} and its sketch do not belong together ({problem}): delete the sketch to make it anew") from problem


def _read(documents: Documents, shard: FileEntry, wanted: Wanted) -> Iterator[tuple[slice, Buffers]]:
    """The record batches that hold wanted rows, and of each those texts."""
    text = SCHEMA.get_field_index("text")
    options = pa.ipc.IpcReadOptions(included_fields=[text])
    cuts = np.searchsorted(wanted.rows, wanted.batches).tolist()
    with pa.memory_map(str(documents.unchecked(shard))) as source, pa.ipc.open_file(source, options=options) as reader:
        if reader.schema.types != [SCHEMA.types[text]]:
            raise pa.ArrowInvalid("other columns")
        for number, (first, since, until) in enumerate(zip(wanted.batches.tolist(), cuts, cuts[1:], strict=False)):
            if since < until:
                batch = reader.get_batch(number)
                batch.validate()
                yield slice(since, until), _rows(text_buffers(batch.column(0)), wanted.rows[since:until] - first)


def _rows(buffers: Buffers, rows: NDArray[np.int64]) -> Buffers:
    """Some rows of a column; raises ArrowInvalid where it is no column of texts."""
    data, offsets = buffers
    if rows[-1] + 1 >= offsets.size:
        raise pa.ArrowInvalid("too few rows")
    starts, ends = offsets[rows], offsets[rows + 1]
    if (starts < 0).any() or (starts > ends).any() or (ends > data.size).any():
        raise pa.ArrowInvalid("offsets outside the text")
    parts = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return np.concatenate(parts), np.cumsum([0, *(ends - starts)], dtype=np.int64)


def shingle_sets(buffers: Buffers, width: int, characters: bool) -> pa.LargeListArray:
    """The sorted distinct shingles of each text."""
    hashes, ends = shingles(buffers, np.arange(buffers[1].size - 1), width, characters)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: ends.size]
    hashes = hashes[: ends[-1] if ends.size else 0]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        hashes[start:end].sort()
    distinct = np.ones(hashes.size, bool)
    distinct[1:] = hashes[1:] != hashes[:-1]
    distinct[starts[starts < ends]] = True
    counted = np.concatenate([[0], np.cumsum(distinct)])
    return pa.LargeListArray.from_arrays(pa.array(counted[np.concatenate([[0], ends])], pa.int64()), pa.array(hashes[distinct]))
