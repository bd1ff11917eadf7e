"""Candidates: documents that share an exact key or a band, each named with the earliest that it shares it with.

Naming only the earliest keeps this linear however many documents share a band; it is enough to say which
documents must be looked at together (`clusters`), and who is compared with whom is decided there (`survivors`).
Where the candidates among the first documents are known, `later_copies` and `later_edges` go through the keys of these once,
and sort only what the documents behind them share.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import number_rows, read_scratch, rows_at
from pipeline.dedup.verdicts import VERDICTS
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

FILTER, FILTER_SHARE, LATER_SHARE = 1 << 20, 8, 64
"""The least places of a filter for keys; about how many it has for each, and for each of few among many."""
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
    return _copies(later, earliest, ids)


def later_copies(unit: Unit, sketches: Sequence[FileEntry], since: int, known: pa.Table) -> pa.RecordBatch:
    """`copies`, where those among the documents before the number `since`, at which a sketch begins, are known (as EDGES)."""
    tables = [read_scratch(unit, entry) for entry in sketches]
    perhaps = Filter([table["exact_low"].to_numpy() for _, table in _numbered(tables, since)], LATER_SHARE)
    high, low, documents = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for first, table in _numbered(tables):
        keys = table["exact_low"].to_numpy()
        rows = perhaps.passed(keys)
        high.append(table["exact_high"].to_numpy()[rows])
        low.append(keys[rows])
        documents.append(first + rows)
    places = np.concatenate(documents)
    later, earliest = (places[rows] for rows in _equal(np.concatenate(high), np.concatenate(low)))
    new = later >= since
    later, earliest = np.concatenate([known["later"], later[new]]), np.concatenate([known["earliest"], earliest[new]])
    return _copies(later, earliest, [chunk for table in tables for chunk in table["id"].chunks])


def copy_edges(copies: pa.Table) -> pa.RecordBatch:
    """Verdicts on copies as EDGES."""
    return pa.record_batch([copies[name].combine_chunks() for name in ("document", "match")], schema=EDGES)


def _copies(later: NDArray[np.int64], earliest: NDArray[np.int64], ids: Sequence[pa.Array]) -> pa.RecordBatch:
    """Verdicts on copies, in order; `ids` are those of all documents."""
    order = np.argsort(later)
    later, earliest = later[order], earliest[order]
    matches = rows_at(pa.chunked_array(ids, pa.string()), earliest)
    return pa.record_batch([pa.array(later), pa.array(earliest), matches, pa.array(np.ones(later.size))], schema=VERDICTS)


def band_edges(unit: Unit, sketches: Sequence[FileEntry], bands: Sequence[int], part: tuple[int, int]) -> Iterator[pa.RecordBatch]:
    """For each of some bands, every document that has it in common with an earlier one, and the earliest such; `part` as above."""
    hashes: list[list[NDArray[np.uint64]]] = [[np.empty(0, np.uint64)] for _ in bands]
    documents: list[list[NDArray[np.int64]]] = [[np.empty(0, np.int64)] for _ in bands]
    first = 0
    for entry in sketches:
        sketch = read_scratch(unit, entry)
        visible, values = _visible(sketch)
        for place, band in enumerate(bands):
            rows = _in_part(values[:, band], part)
            hashes[place].append(values[rows, band])
            documents[place].append(first + visible[rows])
        first += sketch.num_rows
    for keys, places in zip(map(np.concatenate, hashes), map(np.concatenate, documents), strict=True):
        later, earliest = _equal(keys)
        yield pa.record_batch([pa.array(places[later]), pa.array(places[earliest])], schema=EDGES)


def later_edges(unit: Unit, sketches: Sequence[FileEntry], bands: int, since: int) -> Iterator[pa.RecordBatch]:
    """`band_edges` of all bands, so many, without those among the documents before the number `since`, at which a sketch begins."""
    tables = [read_scratch(unit, entry) for entry in sketches]
    later = [(first + visible, values) for first, table in _numbered(tables, since) for visible, values in [_visible(table)]]
    perhaps = Filter([values.reshape(-1) for _, values in later], LATER_SHARE)
    hashes, numbers, documents = [np.empty(0, np.uint64)], [np.empty(0, np.uint16)], [np.empty(0, np.int64)]
    for first, table in _numbered(tables):
        visible, values = _visible(table)
        keys = values.reshape(-1)
        places = perhaps.passed(keys)
        hashes.append(keys[places])
        numbers.append((places % bands).astype(np.uint16))
        documents.append(first + visible[places // bands])
    order = np.argsort(np.concatenate(numbers), kind="stable")
    ends = np.searchsorted(np.concatenate(numbers), np.arange(1, bands), sorter=order)
    parts = (np.split(np.concatenate(column)[order], ends) for column in (hashes, documents))
    for band, (keys, places) in enumerate(zip(*parts, strict=True)):
        mine = np.concatenate([np.empty(0, np.uint64), *(values[:, band] for _, values in later)])
        found = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in later)])
        earliest = _earliest(mine, keys, places)
        yield pa.record_batch([pa.array(column[earliest < found]) for column in (found, earliest)], schema=EDGES)


def _earliest(sought: NDArray[np.uint64], keys: NDArray[np.uint64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each key that is sought, which `keys` all hold, the first of the `places`, in order, that has it."""
    distinct, of = np.unique(sought, return_inverse=True)
    near = np.minimum(np.searchsorted(distinct, keys), distinct.size - 1)
    same = np.flatnonzero(distinct[near] == keys)[::-1] if distinct.size else np.empty(0, np.int64)
    first = np.empty(distinct.size, np.int64)
    first[near[same]] = places[same]  # of equal ones the last to be written stays, which is the first of the places
    return first[of]


def _visible(sketch: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The rows where something is to be seen, and their bands: of the others only the exact keys count."""
    visible = np.flatnonzero(sketch["shingles"].to_numpy())
    values = number_rows(sketch["bands"])
    return visible, values if visible.size == values.shape[0] else values[visible]


def _numbered(tables: Sequence[pa.Table], since: int = 0) -> Iterator[tuple[int, pa.Table]]:
    """Each table whose rows are numbered from `since` on, with the number of its first row."""
    first = 0
    for table in tables:
        if first >= since:
            yield first, table
        first += table.num_rows


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
    return Filter([values[1:][values[1:] == values[:-1]]], FILTER_SHARE).passed(key)


class Filter:
    """A filter for keys: it lets those pass that it was made of, and others by chance (Bloom, 1970, with one hash)."""

    def __init__(self, keys: Sequence[NDArray[np.uint64]], share: int) -> None:
        self._marked = np.zeros(1 << max(FILTER, share * sum(map(len, keys))).bit_length() - 1, bool)
        for part in keys:
            self._marked[part & self._mask] = True

    @property
    def _mask(self) -> np.uint64:
        return np.uint64(self._marked.size - 1)

    def passed(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The places of the keys that pass."""
        return np.flatnonzero(self._marked[keys & self._mask])
