"""What all documents lose: the passages that are repeats are looked at shard by shard, in order, and each loss is written down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.cuts import CUTS, cuts_digest
from pipeline.dedup.holders import FREE, Losses, Repeats, settle
from pipeline.dedup.passages import HOLDINGS, Noted, place_columns
from pipeline.dedup.repeats import Groups
from pipeline.dedup.scratch import read_all, read_scratch
from pipeline.dedup.verdicts import FINAL_VERDICTS
from pipeline.workflow.unit import Unit

SPANS = pa.schema([*CUTS, ("first_holder", pa.int64()), ("last_holder", pa.int64())])
"""A cut, and for which passages (by their numbers in all inputs) its first and its last passage go."""


@dataclass(kw_only=True)
class Deciding:
    """The pass over all shards. A document's number, and a passage's, is its place in all inputs."""

    unit: Unit
    shards: Sequence[Noted]
    groups: Groups
    remain: float
    reason: str
    dropped: list[pa.RecordBatch] = field(default_factory=list)
    """The document that is dropped, the one that holds most of what it loses, and its share; in order."""
    digests: list[str] = field(default_factory=list)
    """Of the spans of each shard."""

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The number of passages up to the end of each document."""
        return np.cumsum(read_all(self.unit, (shard.holdings for shard in self.shards), HOLDINGS)["passages"].to_numpy())

    def spans(self) -> Iterator[pa.RecordBatch]:
        """SPANS of all shards, a batch for each."""
        held = np.full(self.groups.count, FREE)
        document = passage = 0
        for shard in self.shards:
            holdings = read_scratch(self.unit, shard.holdings)
            places = place_columns(self.unit, shard.places)
            passages, groups = self.groups.of(passage, places[0].size)
            rows = self._documents(passage + passages) - document
            repeats = Repeats(passages=passages, groups=groups, rows=rows, places=places, ink=holdings["ink"].to_numpy(), first=passage)
            losses = settle(repeats, self.remain, held)
            self.dropped.append(self._matches(repeats, losses, document))
            found = spans(repeats, losses, document)
            self.digests.append(cuts_digest(found, document))
            yield found
            document, passage = document + holdings.num_rows, passage + places[0].size

    def _documents(self, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.ends, passages, side="right")

    def _matches(self, repeats: Repeats, losses: Losses, document: int) -> pa.RecordBatch:
        """A row for each document that is dropped: of several that hold as much of it, the earliest is the match."""
        chosen = (losses.shares[repeats.rows] > 0) & (losses.ink > 0)
        rows, matches, ink = repeats.rows[chosen], self._documents(losses.holders[chosen]), losses.ink[chosen]
        pairs, places = np.unique(np.stack([rows, matches], axis=1), axis=0, return_inverse=True)
        sums = np.bincount(places.ravel(), ink, minlength=len(pairs))
        order = np.lexsort((pairs[:, 1], -sums, pairs[:, 0]))
        found, firsts = np.unique(pairs[order, 0], return_index=True)
        columns = [document + found, pairs[order[firsts], 1], losses.shares[found]]
        return pa.record_batch([pa.array(values) for values in columns], names=["document", "match", "similarity"])

    def verdicts(self) -> pa.Table:
        """FINAL_VERDICTS on all documents that are dropped, once all spans were asked for."""
        dropped = pa.Table.from_batches(self.dropped) if self.dropped else None
        if dropped is None or not dropped.num_rows:
            return FINAL_VERDICTS.empty_table()
        ids = self._ids(dropped["match"].to_numpy())
        reasons = pa.array([self.reason] * dropped.num_rows, pa.string())
        columns = [dropped["document"], dropped["match"], ids, dropped["similarity"], reasons]
        return pa.table(columns, schema=FINAL_VERDICTS).combine_chunks()

    def _ids(self, documents: NDArray[np.int64]) -> pa.Array:
        """The ids of some documents, holding the ids of one shard in memory at a time."""
        order = np.argsort(documents, kind="stable")
        wanted, first, found = documents[order], 0, list[str]()
        for shard in self.shards:
            ids = read_scratch(self.unit, shard.holdings)["id"]
            since, until = np.searchsorted(wanted, [first, first + len(ids)])
            found += ids.take(pa.array(wanted[since:until] - first)).to_pylist()
            first += len(ids)
        return pa.array(found, pa.string()).take(pa.array(np.argsort(order)))


def spans(repeats: Repeats, losses: Losses, document: int) -> pa.RecordBatch:
    """The passages that kept documents lose, as SPANS: those that touch or overlap are one. `document` is the number of row 0."""
    chosen = np.flatnonzero((losses.holders != FREE) & (losses.shares[repeats.rows] == 0))
    rows, passages = repeats.rows[chosen], repeats.passages[chosen]
    starts, ends = repeats.places[0][passages], repeats.places[1][passages]
    first, last = touching(rows, starts, ends)
    holders = losses.holders[chosen]
    columns = [document + rows[first], starts[first], ends[last], last - first + 1, holders[first], holders[last]]
    return pa.record_batch([pa.array(values) for values in columns], schema=SPANS)


def touching(rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last of each run of stretches that touch or overlap. They are in order, by row, by start and by end."""
    begins = np.ones(rows.size, bool)
    begins[1:] = (rows[1:] != rows[:-1]) | (starts[1:] > ends[:-1])
    first = np.flatnonzero(begins)
    return first, np.append(first[1:], rows.size)[: first.size] - 1
