"""Candidates: documents that share an exact key or a band, each named with the earliest that it shares it with.

Naming only the earliest keeps this linear however many documents share a band; it is enough to say which
documents must be looked at together (`clusters`), and who is compared with whom is decided there (`survivors`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import number_rows, read_scratch
from pipeline.dedup.verdicts import VERDICTS
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

FILTER, FILTER_SHARE = 1 << 20, 8
"""The least places of a filter for keys that occur several times, and how many it has for each; other keys may pass it by chance."""
EDGES = pa.schema([("later", pa.int64()), ("earliest", pa.int64())])


def copies(unit: Unit, sketches: Sequence[FileEntry], part: tuple[int, int]) -> pa.RecordBatch:
    """Every document whose exact key an earlier one has, as a verdict that names the earliest; in order.

    `part` is (number, count): only keys that leave `number` when divided by `count` are looked at.
    """
    high, low = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    documents, ids, first = [np.empty(0, np.int64)], [], 0
    for entry in sketches:
        sketch = read_scratch(unit, entry)
        ids += sketch["id"].chunks
        keys = sketch["exact_low"].to_numpy()
        rows = _in_part(keys, part)
        high.append(sketch["exact_high"].to_numpy()[rows])
        low.append(keys[rows])
        documents.append(first + rows)
        first += sketch.num_rows
    places = np.concatenate(documents)
    later, earliest = (places[rows] for rows in _equal(np.concatenate(high), np.concatenate(low)))
    order = np.argsort(later)
    later, earliest = later[order], earliest[order]
    matches = pa.chunked_array(ids, pa.string()).take(pa.array(earliest)).combine_chunks()
    return pa.record_batch([pa.array(later), pa.array(earliest), matches, pa.array(np.ones(later.size))], schema=VERDICTS)


def band_edges(unit: Unit, sketches: Sequence[FileEntry], bands: Sequence[int], part: tuple[int, int]) -> Iterator[pa.RecordBatch]:
    """For each of some bands, every document that has it in common with an earlier one, and the earliest such; `part` as above."""
    hashes: list[list[NDArray[np.uint64]]] = [[np.empty(0, np.uint64)] for _ in bands]
    documents: list[list[NDArray[np.int64]]] = [[np.empty(0, np.int64)] for _ in bands]
    first = 0
    for entry in sketches:
        sketch = read_scratch(unit, entry)
        visible = np.flatnonzero(sketch["shingles"].to_numpy())  # where nothing is to be seen, only exact keys count
        values = number_rows(sketch["bands"])[visible]
        for place, band in enumerate(bands):
            rows = _in_part(values[:, band], part)
            hashes[place].append(values[rows, band])
            documents[place].append(first + visible[rows])
        first += sketch.num_rows
    for keys, places in zip(map(np.concatenate, hashes), map(np.concatenate, documents), strict=True):
        later, earliest = _equal(keys)
        yield pa.record_batch([pa.array(places[later]), pa.array(places[earliest])], schema=EDGES)


def _in_part(keys: NDArray[np.uint64], part: tuple[int, int]) -> NDArray[np.int64]:
    """The places of the keys that are in a part of their range."""
    number, count = part
    return np.arange(keys.size) if count == 1 else np.flatnonzero(keys % np.uint64(count) == np.uint64(number))


def _equal(*keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places whose keys are equal to those of an earlier place, and the earliest such place of each."""
    places = _perhaps_equal(keys[-1])
    keys = tuple(key[places] for key in keys)
    order = np.lexsort(keys)
    again = np.ones(max(order.size - 1, 0), bool)
    for key in keys:
        again &= key[order[1:]] == key[order[:-1]]
    leader = np.maximum.accumulate(np.where(again, 0, np.arange(1, order.size)), dtype=np.int64) if again.size else np.empty(0, np.int64)
    return places[order[1:][again]], places[order[leader[again]]]


def _perhaps_equal(key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The places whose key others have too, and a few more: to sort values is ten times faster than to sort places by them."""
    values = np.sort(key)
    several = values[1:][values[1:] == values[:-1]]
    marked = np.zeros(max(FILTER, FILTER_SHARE * several.size), bool)
    size = np.uint64(marked.size)
    marked[several % size] = True
    return np.flatnonzero(marked[key % size])
