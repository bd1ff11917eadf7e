"""Repeats: passages whose digest another passage has too, in groups of equal ones.

A unit looks at a range of digests in all shards: sorted, equal ones stand together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import Numbers, read_scratch
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

REPEATS = pa.schema([("passage", pa.int64()), ("group", pa.int64())])
"""A passage by its number in all inputs, and its group by its number in the range; in order of the passages."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """The digests of all shards whose high half is at least `low` and below `high`; shard i's passages are numbered from firsts[i] on."""

    low: int
    high: int
    digests: tuple[FileEntry, ...]
    firsts: tuple[int, ...]


def ranges(digests: tuple[FileEntry, ...], firsts: tuple[int, ...], passages: int, at_once: int) -> list[Range]:
    """All digests, cut into ranges of about `at_once` passages."""
    count = -(-passages // at_once)
    bounds = [(number << 64) // count for number in range(count + 1)] if count else []
    return [Range(low=low, high=high, digests=digests, firsts=firsts) for low, high in pairwise(bounds)]


def repeats(unit: Unit, chosen: Range) -> pa.RecordBatch:
    """The passages of a range that are in groups of two and more, as REPEATS."""
    slices = [_slice(read_scratch(unit, entry), chosen) for entry in chosen.digests]
    high, low = (np.concatenate([part[name].to_numpy() for part in slices]) for name in ("high", "low"))
    passages = np.concatenate(
        [first + part["passage"].to_numpy().astype(np.int64) for first, part in zip(chosen.firsts, slices, strict=True)]
    )
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    again = np.zeros(order.size + 1, bool)
    again[1:-1] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    members = again[:-1] | again[1:]
    groups = np.cumsum(members & ~again[:-1])[members] - 1
    found = passages[order[members]]
    order = np.argsort(found)
    return pa.record_batch([pa.array(found[order]), pa.array(groups[order])], schema=REPEATS)


def _slice(digests: pa.Table, chosen: Range) -> pa.Table:
    high = digests["high"].to_numpy()
    since = np.searchsorted(high, np.uint64(chosen.low))
    until = np.searchsorted(high, np.uint64(chosen.high)) if chosen.high < 1 << 64 else high.size
    return digests.slice(since, until - since)


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The repeats of all ranges, to be read shard by shard."""

    tables: list[pa.Table]
    firsts: list[int]
    """The number of each range's first group in all ranges."""
    count: int

    def of(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The passages first … first + count - 1 that are repeats, numbered from 0 on, and the group of each."""
        passages, groups = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for table, number in zip(self.tables, self.firsts, strict=True):
            column: Numbers = table["passage"].to_numpy()
            since, until = np.searchsorted(column, [first, first + count])
            passages.append(column[since:until] - first)
            groups.append(table["group"].to_numpy()[since:until] + number)
        found = np.concatenate(passages)
        order = np.argsort(found)
        return found[order], np.concatenate(groups)[order]


def read_groups(unit: Unit, entries: Iterable[FileEntry], counts: Iterable[int]) -> Groups:
    """The repeats of all ranges, mapped into memory; `counts` says how many groups each range has."""
    ends = np.cumsum([0, *counts]).tolist()
    return Groups(tables=[read_scratch(unit, entry) for entry in entries], firsts=ends[:-1], count=ends[-1])
