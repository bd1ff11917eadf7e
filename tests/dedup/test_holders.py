"""Who holds what, where passages overlap."""

import numpy as np

from pipeline.dedup.holders import FREE, Repeats, settle


def repeats(rows: list[int], groups: list[int], starts: list[int], ink: list[int]) -> Repeats:
    """Passages of ten bytes, all visible."""
    begin = np.array(starts)
    places = (begin, begin + 10, begin, begin + 10)
    return Repeats(passages=np.arange(begin.size), groups=np.array(groups), rows=np.array(rows), places=places, ink=np.array(ink), first=0)


def test_a_passage_that_overlaps_the_one_that_holds_it_stays() -> None:
    found = settle(repeats([0, 0, 0], [0, 0, 0], [0, 5, 10], [20]), 0.2, np.full(1, FREE))
    assert found.holders.tolist() == [FREE, FREE, 0]
    assert found.shares.tolist() == [0.0]


def test_what_passages_share_is_lost_once() -> None:
    found = settle(repeats([0, 0, 1, 1], [0, 1, 0, 1], [0, 20, 0, 5], [100, 20]), 0.5, np.full(2, FREE))
    assert found.holders.tolist() == [FREE, FREE, 0, 1]
    assert found.ink.tolist() == [0, 0, 10, 5]
    assert found.shares.tolist() == [0.0, 0.75]


def test_what_a_dropped_document_held_is_free_for_the_next() -> None:
    held = np.full(2, FREE)
    found = settle(repeats([0, 1, 1, 2], [0, 0, 1, 1], [0, 0, 10, 0], [10, 20, 10]), 0.6, held)
    assert found.holders.tolist() == [FREE, 0, FREE, FREE]
    assert held.tolist() == [0, 3]
