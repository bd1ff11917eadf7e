"""Several corpora as one sequence of samples."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batches.mixture import LONGEST_PERIOD, Interleaving, Weighted, check_mixture, shares
from pipeline.errors import RequestError
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import ExistingTokenizer, TrainTokenizer
from tests.tokens.corpus import literal

SHARES = st.lists(st.integers(1, 40), min_size=1, max_size=7).map(tuple)


def tokenize(text: str = "a", vocab_size: int = 300, fraction: float = 0.0) -> Tokenize:
    documents, split = literal([text]), Split(fraction=fraction)
    return Tokenize(
        documents=documents, tokenizer=TrainTokenizer(documents=literal(["a"]), vocab_size=vocab_size, split=split), split=split
    )


@given(SHARES, st.integers(1, 400))
def test_every_corpus_has_its_share_of_every_prefix_to_within_one_sample(parts: tuple[int, ...], length: int) -> None:
    corpora, _ = Interleaving(parts).locate(np.arange(length))
    taken = np.stack([np.cumsum(corpora == corpus) for corpus in range(len(parts))])
    due = np.outer(parts, np.arange(1, length + 1)) / sum(parts)
    assert np.abs(taken - due).max() < 1


@given(SHARES, st.integers(0, 10**12), st.integers(0, 300))
def test_the_place_of_a_sample_is_found_back(parts: tuple[int, ...], first: int, length: int) -> None:
    interleaving = Interleaving(parts)
    samples = np.arange(first, first + length)
    corpora, numbers = interleaving.locate(samples)
    for corpus in range(len(parts)):
        mine = corpora == corpus
        np.testing.assert_array_equal(interleaving.samples(corpus, numbers[mine]), samples[mine])


@given(SHARES, st.integers(0, 500))
def test_the_samples_of_a_corpus_are_numbered_without_gaps_and_counted(parts: tuple[int, ...], length: int) -> None:
    interleaving = Interleaving(parts)
    corpora, numbers = interleaving.locate(np.arange(length))
    for corpus in range(len(parts)):
        mine = numbers[corpora == corpus].tolist()
        assert mine == list(range(len(mine)))
        assert interleaving.count(corpus, length) == len(mine)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1.0,), [1]), ((0.7, 0.2, 0.1), [7, 2, 1]), ((3, 1), [3, 1]), ((0.25, 0.25), [1, 1]), ((2.5, 0.01), [250, 1]), ((7,), [1])],
)
def test_weights_become_exact_shares_where_they_can(weights: tuple[float, ...], expected: list[int]) -> None:
    assert shares(weights) == expected


@settings(max_examples=50)
@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=6))
def test_other_weights_are_rounded_to_the_longest_period(weights: list[float]) -> None:
    try:
        found = shares(weights)
    except RequestError:
        assert min(weights) / sum(weights) < 1 / LONGEST_PERIOD
        return
    assert sum(found) <= LONGEST_PERIOD
    for weight, share in zip(weights, found, strict=True):
        asked = Fraction(str(weight)) / sum(Fraction(str(other)) for other in weights)
        assert abs(Fraction(share, sum(found)) - asked) < Fraction(1, LONGEST_PERIOD)


def test_a_weight_too_small_to_get_a_turn_is_refused() -> None:
    with pytest.raises(RequestError, match=r"weight 1e-09 is less than one of 65536 samples: use at least 1\.53e-05"):
        shares([1.0, 1e-9])


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_above_zero_is_refused(weight: float) -> None:
    with pytest.raises(RequestError, match=r"^weight is"):
        Weighted(tokenize(), weight)


def test_an_empty_mixture_is_refused() -> None:
    with pytest.raises(RequestError, match="mixture is empty"):
        check_mixture([])


def test_tokenizers_that_differ_within_a_mixture_are_refused() -> None:
    with pytest.raises(RequestError, match=r"mixture\[1\] has the tokenizer train-tokenizer/.* one tokenizer"):
        check_mixture([Weighted(tokenize()), Weighted(tokenize(vocab_size=301))])


def test_splits_that_differ_within_a_mixture_are_refused() -> None:
    one = replace(tokenize(), tokenizer=ExistingTokenizer(digest="sha256:0", location="elsewhere"))
    with pytest.raises(RequestError, match=r"mixture\[1\] has the split .*fraction=0\.5.* give all corpora of a mixture one split"):
        check_mixture([Weighted(one), Weighted(replace(one, split=Split(fraction=0.5)))])


def test_corpora_with_one_tokenizer_and_one_split_go_together() -> None:
    one = tokenize()
    check_mixture([Weighted(one), Weighted(replace(one, documents=literal(["b"])), 0.5), Weighted(one, 2, source="here")])
