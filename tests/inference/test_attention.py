"""Rollout and habits of attention, against what they are by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.attention import Attention, Weights, habit


def drawn(layers: int, heads: int, tokens: int, seed: int = 0) -> Weights:
    """Weights of a causal model."""
    weights = np.tril(np.random.default_rng(seed).random((layers, heads, tokens, tokens))) + 1e-6 * np.tril(np.ones((tokens, tokens)))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9))
def test_what_rollout_lets_through_to_a_token_is_shared_out_among_those_before_it(layers: int, heads: int, tokens: int) -> None:
    rolled = Attention(drawn(layers, heads, tokens)).rollout()
    np.testing.assert_allclose(rolled.sum(axis=1), 1, atol=1e-5)
    assert np.all(np.triu(rolled, 1) == 0)


def test_rollout_of_two_layers_is_the_product_of_what_each_passes_on() -> None:
    weights = drawn(2, 3, 5)
    first, second = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(5) for layer in weights)
    np.testing.assert_allclose(Attention(weights).rollout(), second @ first, atol=1e-6)


def test_a_head_that_looks_at_the_token_before_is_known_by_that() -> None:
    weights = np.eye(6, k=-1, dtype=np.float32)
    weights[0, 0] = 1
    found = habit(weights)
    assert (found.before, found.itself, found.first, found.rest) == (1, 0, 0, 0)


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_short_texts_have_habits_too(tokens: int) -> None:
    found = habit(drawn(1, 1, tokens)[0, 0])
    assert all(0 <= share <= 1 for share in (found.itself, found.before, found.first, found.rest))
