"""Which documents are held out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.tokens.split import Split

IDS = [f"document-{number}" for number in range(20_000)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.floats(0, 0.99), st.text(max_size=3))
def test_a_column_of_ids_is_split_as_each_id_alone(ids: list[str], fraction: float, salt: str) -> None:
    split = Split(fraction=fraction, salt=salt)
    assert split.held_out_of(ids).tolist() == [split.held_out(document_id) for document_id in ids]


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_about_the_asked_fraction_is_held_out(fraction: float) -> None:
    share = Split(fraction=fraction).held_out_of(IDS).mean()
    assert abs(share - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / len(IDS))


def test_a_greater_fraction_holds_out_all_that_a_smaller_one_does() -> None:
    few, more = Split(fraction=0.05).held_out_of(IDS), Split(fraction=0.2).held_out_of(IDS)
    assert (few <= more).all()


def test_another_salt_holds_out_other_documents() -> None:
    one, other = Split(fraction=0.5).held_out_of(IDS), Split(fraction=0.5, salt="other").held_out_of(IDS)
    assert 0.4 < (one == other).mean() < 0.6


def test_a_fraction_of_nothing_holds_out_nothing() -> None:
    assert not Split(fraction=0.0).held_out_of(IDS).any()


@pytest.mark.parametrize("fraction", [-0.1, 1.01, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(RequestError, match=r"^split\.fraction is"):
        Split(fraction=fraction)


def test_everything_can_be_held_out_and_nothing() -> None:
    ids = [f"{number:032x}" for number in range(1000)]
    assert Split(fraction=1.0).held_out_of(ids).all()
    assert not Split(fraction=0.0).held_out_of(ids).any()
    assert Split(fraction=1.0).held_out(ids[0])
