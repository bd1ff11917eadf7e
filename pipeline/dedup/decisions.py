"""Decisions that are known: what is decided on a document depends on the documents before it in its cluster, and on nothing else.

A step keeps the decisions on every cluster with the keys of its texts, in order. Where a corpus has changed, they hold for a cluster
that is there again, whole and in the same order, also where others stand behind it now: only those are decided on, and of the rest
only who shares a band with them is looked at. The outcome is that of deciding on all of them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.clusters import Members
from pipeline.dedup.scratch import rows_at
from pipeline.dedup.survivors import BUCKET_LIMIT
from pipeline.dedup.verdicts import VERDICTS

KEYS = pa.schema([("high", pa.uint64()), ("low", pa.uint64())])
"""The exact key of a text."""
DECISIONS = pa.schema(
    [
        ("high", pa.list_(pa.uint64())),  # the exact keys of a cluster's documents, in order
        ("low", pa.list_(pa.uint64())),
        ("ranks", pa.list_(pa.int64())),  # those that are dropped,
        ("matches", pa.list_(pa.int64())),  # for these earlier ones of the cluster
        ("similarities", pa.list_(pa.float64())),
    ]
)
NOWHERE = -1
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Known:
    """For each member of a cluster whether it is to be decided on, and whether it is known to be kept; and the verdicts that are known."""

    open: Flags
    kept: Flags
    verdicts: pa.RecordBatch


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The clusters of DECISIONS. A place is that of a document in all of them; cluster c begins at starts[c]."""

    decisions: pa.Table
    starts: Numbers
    clusters: Numbers

    @classmethod
    def of(cls, decisions: pa.Table) -> "Earlier":
        sizes = pc.list_value_length(decisions["high"]).to_numpy().astype(np.int64)
        return cls(decisions=decisions, starts=np.cumsum(sizes) - sizes, clusters=np.repeat(np.arange(sizes.size), sizes))

    def places_of(self, keys: Keys) -> Numbers:
        """The place of each text ([texts, 2]), or NOWHERE."""
        high, low = (pc.list_flatten(self.decisions[name]).to_numpy() for name in ("high", "low"))
        order = np.argsort(high, kind="stable")
        found = np.minimum(np.searchsorted(high, keys[:, 0], sorter=order), order.size - 1)
        places: Numbers = order[found]
        return np.where((high[places] == keys[:, 0]) & (low[places] == keys[:, 1]), places, NOWHERE)

    def broken(self, places: Numbers, now: Numbers) -> Flags:
        """Which clusters are not there whole, in one cluster and in the same order. `places` are in order of the clusters `now`."""
        order = np.argsort(self.clusters[places], kind="stable")
        clusters, counts = np.unique(self.clusters[places], return_counts=True)
        expected = self.starts[self.clusters[places[order]]] + np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
        apart = np.zeros(order.size, bool)
        apart[1:] = (now[order[1:]] != now[order[:-1]]) & (self.clusters[places[order[1:]]] == self.clusters[places[order[:-1]]])
        broken = np.zeros(self.starts.size, bool)
        broken[self.clusters[places[order[(expected != places[order]) | apart]]]] = True
        sizes = np.bincount(self.clusters, minlength=self.starts.size)
        broken[clusters[counts != sizes[clusters]]] = True
        return broken

    def verdicts(self, chosen: Flags, documents: Numbers, ids: pa.ChunkedArray) -> pa.RecordBatch:
        """Verdicts on documents[place] by the decisions on some of these clusters."""
        decisions, starts = self.decisions.filter(pa.array(chosen)), self.starts[chosen]
        first = np.repeat(starts, pc.list_value_length(decisions["ranks"]).to_numpy())
        later, matches = (documents[first + pc.list_flatten(decisions[name]).to_numpy()] for name in ("ranks", "matches"))
        similarities = pc.list_flatten(decisions["similarities"]).combine_chunks()
        columns = [pa.array(later), pa.array(matches), rows_at(ids, matches), similarities]
        return pa.record_batch(columns, schema=VERDICTS)


def known(members: Members, keys: Keys, decisions: pa.Table | None, ids: pa.ChunkedArray) -> Known:
    """What DECISIONS that were taken before say of these members, whose exact keys are [members, 2]. `ids` are those of all documents."""
    size = members.documents.size
    if decisions is None or not decisions.num_rows or not size:
        nothing = pa.RecordBatch.from_pylist([], schema=VERDICTS)
        return Known(open=np.ones(size, bool), kept=np.zeros(size, bool), verdicts=nothing)
    earlier = Earlier.of(decisions)
    places = earlier.places_of(keys)
    met = np.flatnonzero(places != NOWHERE)
    others = np.flatnonzero(places == NOWHERE)
    broken = earlier.broken(places[met], members.clusters[met])
    undone = np.zeros(members.starts.size, bool)
    undone[members.clusters[met[broken[earlier.clusters[places[met]]]]]] = True
    undone |= _first(members, others) < _last(members, met)
    is_open = (places == NOWHERE) | undone[members.clusters]
    documents = np.full(earlier.clusters.size, NOWHERE)
    documents[places[~is_open]] = members.documents[~is_open]
    chosen = np.zeros(earlier.starts.size, bool)
    chosen[earlier.clusters[places[~is_open]]] = True
    verdicts = earlier.verdicts(chosen, documents, ids)
    dropped = np.isin(members.documents, verdicts["document"].to_numpy())
    return Known(open=is_open, kept=~is_open & ~dropped, verdicts=verdicts)


def _first(members: Members, chosen: Numbers) -> Numbers:
    """The first place in each cluster of those that are chosen; beyond all where none is."""
    first = np.full(members.starts.size, members.documents.size)
    np.minimum.at(first, members.clusters[chosen], members.ranks[chosen])
    return first


def _last(members: Members, chosen: Numbers) -> Numbers:
    """The last place in each cluster of those that are chosen; before all where none is."""
    last = np.full(members.starts.size, NOWHERE)
    np.maximum.at(last, members.clusters[chosen], members.ranks[chosen])
    return last


def needed(members: Members, found: Known, bands: pa.ChunkedArray) -> Flags:
    """Which members are to be looked at: those that are open, and the kept ones that they are compared with, by all documents' `bands`."""
    clusters = np.zeros(members.starts.size, bool)
    clusters[members.clusters[found.open]] = True
    beside = np.flatnonzero(found.kept & clusters[members.clusters])
    if not beside.size:
        return found.open
    theirs = np.zeros(members.starts.size, bool)
    theirs[members.clusters[beside]] = True
    opened = np.flatnonzero(found.open & theirs[members.clusters])
    sought, held = (rows_at(bands, members.documents[places]).flatten().to_numpy() for places in (opened, beside))
    chosen = found.open.copy()
    size = bands.type.list_size
    chosen[beside[_compared(held, sought, size) // size]] = True
    return chosen


def _compared(held: Keys, sought: Keys, bands: int) -> Numbers:
    """The places of what is held in buckets that are sought: the first BUCKET_LIMIT of each, which stand for it (`survivors`)."""
    places = np.flatnonzero(np.isin(held, sought))
    order = np.lexsort((places, held[places], places % bands))
    places = places[order]
    begins = np.ones(places.size, bool)
    begins[1:] = (held[places[1:]] != held[places[:-1]]) | (places[1:] % bands != places[:-1] % bands)
    starts = np.flatnonzero(begins)
    first: Numbers = places[np.arange(places.size) - starts[np.cumsum(begins) - 1] < BUCKET_LIMIT]
    return first


def decisions(members: pa.Table, keys: pa.Table, near: pa.Table) -> pa.Table:
    """DECISIONS on all clusters, from MEMBERS in order of the documents, their KEYS by cluster and rank, and all verdicts of similarity."""
    documents, ranks, clusters = (members[name].to_numpy() for name in ("document", "rank", "cluster"))
    count = int(clusters.max(initial=-1)) + 1
    rows = np.searchsorted(documents, near["document"].to_numpy())
    matches = np.searchsorted(documents, near["match"].to_numpy())
    order = np.lexsort((ranks[rows], clusters[rows]))
    rows, matches = rows[order], matches[order]
    dropped = (pa.array(ranks[rows]), pa.array(ranks[matches]), near["similarity"].take(pa.array(order)).combine_chunks())
    every, some = (pa.array(np.searchsorted(of, np.arange(count + 1)).astype(np.int32)) for of in (np.sort(clusters), clusters[rows]))
    lists = [pa.ListArray.from_arrays(every, keys[name].combine_chunks()) for name in ("high", "low")]
    lists += [pa.ListArray.from_arrays(some, value) for value in dropped]
    return pa.table(lists, schema=DECISIONS)
