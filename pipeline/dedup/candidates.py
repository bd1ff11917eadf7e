"""Candidates: documents that share an exact key or a band, each named with the earliest that it shares it with.

Naming only the earliest keeps this linear however many documents share a band; it is enough to say which
documents must be looked at together (`clusters`), and who is compared with whom is decided there (`survivors`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import column, number_rows, read_scratch, text_column
from pipeline.dedup.verdicts import VERDICTS
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

EDGES = pa.schema([("later", pa.int64()), ("earliest", pa.int64())])


def copies(unit: Unit, sketches: Sequence[FileEntry]) -> pa.RecordBatch:
    """Every document whose exact key an earlier one has, as a verdict that names the earliest; in order."""
    later, earliest = _equal(column(unit, sketches, "exact_high"), column(unit, sketches, "exact_low"))
    order = np.argsort(later)
    later, earliest = later[order], earliest[order]
    matches = text_column(unit, sketches, "id").take(pa.array(earliest)).combine_chunks()
    return pa.record_batch([pa.array(later), pa.array(earliest), matches, pa.array(np.ones(later.size))], schema=VERDICTS)


def band_edges(unit: Unit, sketches: Sequence[FileEntry], bands: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """For each of some bands, every document that has it in common with an earlier one, and the earliest such."""
    hashes: list[list[NDArray[np.uint64]]] = [[np.empty(0, np.uint64)] for _ in bands]
    documents, first = [np.empty(0, np.int64)], 0
    for entry in sketches:
        sketch = read_scratch(unit, entry)
        rows = np.flatnonzero(sketch["shingles"].to_numpy())  # where nothing is to be seen, only exact keys count
        values = number_rows(sketch["bands"])
        for parts, band in zip(hashes, bands, strict=True):
            parts.append(values[rows, band])
        documents.append(first + rows)
        first += sketch.num_rows
    places = np.concatenate(documents)
    for parts in hashes:
        later, earliest = _equal(np.concatenate(parts))
        yield pa.record_batch([pa.array(places[later]), pa.array(places[earliest])], schema=EDGES)


def _equal(*keys: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places whose keys are equal to those of an earlier place, and the earliest such place of each."""
    order = np.lexsort(keys)
    again = np.ones(max(order.size - 1, 0), bool)
    for key in keys:
        again &= key[order[1:]] == key[order[:-1]]
    leader = np.maximum.accumulate(np.where(again, 0, np.arange(1, order.size)), dtype=np.int64) if again.size else np.empty(0, np.int64)
    return order[1:][again], order[leader[again]]
