"""Lengths are counted in bins: sums lose nothing, and quantiles are right within a bin."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.look.lengths import EDGES, Lengths, doublings

lengths = st.lists(st.integers(0, 5_000) | st.integers(0, 10**9), max_size=60)


def counted(values: list[int]) -> Lengths:
    found = Lengths()
    found.add(np.array(values, np.int64))
    return found


@given(lengths, lengths)
def test_the_sum_of_parts_is_the_whole(one: list[int], other: list[int]) -> None:
    merged = counted(one)
    merged.merge(counted(other))
    assert merged == counted(one + other)


@given(lengths)
def test_they_come_back_from_json(values: list[int]) -> None:
    assert Lengths.from_json(counted(values).to_json()) == counted(values)


@given(lengths.filter(bool), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bin_of_the_true_one(values: list[int], part: float) -> None:
    true = sorted(values)[math.ceil(part * len(values)) - 1]
    place = int(np.searchsorted(EDGES, true, side="right")) - 1
    assert EDGES[place] <= counted(values).quantile(part) <= EDGES[place + 1] - 1


@given(lengths)
def test_total_longest_and_count_are_exact(values: list[int]) -> None:
    found = counted(values)
    assert (found.total, found.longest, found.count) == (sum(values), max(values, default=0), len(values))


@given(lengths)
def test_doublings_hold_every_document(values: list[int]) -> None:
    found = doublings(counted(values))
    assert sum(found.values()) == len(values)
    for place, number in found.items():
        assert number == sum(2**place <= max(value, 1) < 2 ** (place + 1) for value in values)


def test_short_lengths_have_bins_of_their_own() -> None:
    assert EDGES[:9] == (0, 1, 2, 3, 4, 5, 6, 7, 8)
