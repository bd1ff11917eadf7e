"""A bin: documents whose clusters are decided on together, with their sets of shingles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import Numbers, number_rows, read_scratch
from pipeline.dedup.verdicts import VERDICTS
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit


def gathered_schema(bands: int) -> pa.Schema:
    """A document by its place in all inputs, its id, its sorted distinct shingles, the hash of each band, and whether it is decided on."""
    return pa.schema(
        [
            ("document", pa.int64()),
            ("id", pa.string()),
            ("shingles", pa.large_list(pa.uint64())),
            ("bands", pa.list_(pa.uint64(), bands)),
            ("open", pa.bool_()),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The documents of a bin, in order; document i has the set sets[offsets[i]:offsets[i + 1]]. Those that are not open were kept."""

    documents: NDArray[np.int64]
    ids: pa.ChunkedArray
    sets: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    bands: NDArray[np.uint64]
    open: NDArray[np.bool_]

    def verdicts(self, matches: NDArray[np.int64], similarities: NDArray[np.float64]) -> pa.RecordBatch:
        """Verdicts on the documents that have a match, in order; matches[i] is a place in this bin, or -1."""
        rows = np.flatnonzero(matches >= 0)
        columns = [
            pa.array(self.documents[rows]),
            pa.array(self.documents[matches[rows]]),
            self.ids.take(pa.array(matches[rows])).combine_chunks(),
            pa.array(similarities[rows]),
        ]
        return pa.record_batch(columns, schema=VERDICTS)


def read_bin(unit: Unit, entries: Sequence[FileEntry]) -> Bin:
    """A bin from what was gathered for it, a file a shard, in order of the shards."""
    table = pa.concat_tables(read_scratch(unit, entry) for entry in entries)
    lists = table["shingles"].chunks
    sizes: list[Numbers] = [chunk.value_lengths().to_numpy() for chunk in lists]
    return Bin(
        documents=table["document"].to_numpy(),
        ids=table["id"],
        sets=np.concatenate([chunk.flatten().to_numpy() for chunk in lists]),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
        bands=number_rows(table["bands"]),
        open=table["open"].to_numpy(),
    )
