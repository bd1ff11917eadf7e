"""Gather: the shingle sets of documents that have candidates, out of the shards and into the bins."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.bins import gathered_schema
from pipeline.dedup.clusters import SETTLED
from pipeline.dedup.scratch import number_rows
from pipeline.dedup.shingles import shingles, text_buffers


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The documents of a shard that are to be looked at: their rows, in order; the bin, the bands, and whether to decide, of each."""

    rows: NDArray[np.int64]
    bins: NDArray[np.int64]
    bands: NDArray[np.uint64]
    open: NDArray[np.bool_]


def wanted(members: pa.Table, sketch: pa.Table, first: int) -> Wanted:
    """What to gather from the shard whose documents are numbered from `first` on: those that are not settled."""
    since, until = np.searchsorted(members["document"].to_numpy(), [first, first + sketch.num_rows]).tolist()
    mine = members.slice(since, until - since)
    mine = mine.filter(pc.not_equal(mine["bin"], SETTLED))
    rows = mine["document"].to_numpy() - first
    bands = number_rows(sketch["bands"])[rows]
    return Wanted(rows=rows, bins=mine["bin"].to_numpy(), bands=bands, open=mine["open"].to_numpy())


def gather(
    batches: Iterable[tuple[int, pa.RecordBatch]], wanted: Wanted, first: int, width: int, characters: bool
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(bin, record batch) pairs of a shard, from those of its record batches that hold wanted rows, each with its first row."""
    schema = gathered_schema(wanted.bands.shape[1])
    for passed, batch in batches:
        since, until = np.searchsorted(wanted.rows, [passed, passed + batch.num_rows])
        rows = wanted.rows[since:until]
        columns = [
            pa.array(first + rows),
            batch["id"].take(pa.array(rows - passed)),
            shingle_sets(batch["text"], rows - passed, width, characters),
            pa.FixedSizeListArray.from_arrays(pa.array(wanted.bands[since:until].reshape(-1)), wanted.bands.shape[1]),
            pa.array(wanted.open[since:until]),
        ]
        gathered = pa.record_batch(columns, schema=schema)
        for number in np.unique(wanted.bins[since:until]).tolist():
            yield number, gathered.filter(pa.array(wanted.bins[since:until] == number))


def shingle_sets(texts: pa.LargeStringArray, rows: NDArray[np.int64], width: int, characters: bool) -> pa.LargeListArray:
    """The sorted distinct shingles of some rows."""
    hashes, ends = shingles(text_buffers(texts), rows, width, characters)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: ends.size]
    hashes = hashes[: ends[-1] if ends.size else 0]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        hashes[start:end].sort()
    distinct = np.ones(hashes.size, bool)
    distinct[1:] = hashes[1:] != hashes[:-1]
    distinct[starts[starts < ends]] = True
    counted = np.concatenate([[0], np.cumsum(distinct)])
    return pa.LargeListArray.from_arrays(pa.array(counted[np.concatenate([[0], ends])], pa.int64()), pa.array(hashes[distinct]))
