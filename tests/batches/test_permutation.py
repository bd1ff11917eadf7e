"""The permutation that needs no table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches.permutation import Permutation, epoch_permutation

KEYS = st.text(max_size=5)


@given(st.integers(1, 3000), KEYS)
def test_it_is_a_bijection(size: int, key: str) -> None:
    assert sorted(Permutation(size, key)(np.arange(size)).tolist()) == list(range(size))


@given(st.integers(1, 2**60), KEYS, st.data())
def test_its_inverse_inverts_it_at_any_size(size: int, key: str, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=50)), np.int64)
    permutation = Permutation(size, key)
    there = permutation(places)
    assert ((there >= 0) & (there < size)).all()
    np.testing.assert_array_equal(permutation.inverse(there), places)
    np.testing.assert_array_equal(permutation(permutation.inverse(places)), places)


@given(st.integers(1, 2000), KEYS, st.integers(1, 9))
def test_a_place_goes_to_the_same_whichever_places_are_asked_with_it(size: int, key: str, parts: int) -> None:
    permutation, places = Permutation(size, key), np.arange(size)
    whole = permutation(places)
    for part in range(parts):
        np.testing.assert_array_equal(permutation(places[part::parts]), whole[part::parts])


@pytest.mark.parametrize("other", [epoch_permutation(1000, 1, 0, 0), epoch_permutation(1000, 0, 1, 0), epoch_permutation(1000, 0, 0, 1)])
def test_another_seed_corpus_or_epoch_has_another_order(other: Permutation) -> None:
    places = np.arange(1000)
    assert (other(places) == epoch_permutation(1000, 0, 0, 0)(places)).mean() < 0.02


def test_neighbours_are_scattered_evenly() -> None:
    there = Permutation(100_000, "key")(np.arange(1000))
    counts = np.histogram(there, bins=10, range=(0, 100_000))[0]
    assert ((counts - 100) ** 2 / 100).sum() < 35  # chi-square with nine degrees of freedom: beyond it, one key in ten thousand
    assert np.abs(np.diff(there)).min() > 0
    assert abs(np.corrcoef(there[:-1], there[1:])[0, 1]) < 0.15


def test_the_order_of_an_epoch_stays_what_it_was() -> None:
    """A change here changes what every seed trains on."""
    assert epoch_permutation(10, 0, 0, 0)(np.arange(10)).tolist() == [8, 7, 0, 4, 1, 2, 5, 9, 6, 3]
