"""Confidence intervals and differences of metrics."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluate.base import Ratio
from pipeline.evaluate.scores import Scores
from pipeline.metrics.sign_test import sign_test

MEAN = {"accuracy": Ratio("accuracy")}


def gathered(*scores: dict[str, float]) -> Scores:
    found = Scores()
    for each in scores:
        found.add(each)
    return found


def of(values: list[float]) -> Scores:
    return gathered(*({"accuracy": value} for value in values))


def test_the_interval_of_a_mean_is_about_that_of_a_normal_variable_and_the_same_each_time() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400).tolist()
    low, high = of(values).intervals(MEAN)["accuracy"]
    error = 1.96 * np.std(values) / math.sqrt(len(values))
    assert (low, high) == pytest.approx((np.mean(values) - error, np.mean(values) + error), abs=0.05)
    assert of(values).intervals(MEAN)["accuracy"] == (low, high)


def test_95_of_100_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(100):
        low, high = of((np.random.default_rng(seed).random(80) < 0.3).astype(float).tolist()).intervals(MEAN)["accuracy"]
        held += low <= 0.3 <= high
    assert 88 <= held <= 99


def test_a_ratio_of_totals_is_drawn_with_both_of_its_parts() -> None:
    scores = gathered(*({"nats": 2.0 * tokens, "tokens": tokens} for tokens in (1, 5, 9, 30)))
    assert scores.intervals({"loss": Ratio("nats", "tokens")})["loss"] == pytest.approx((2, 2))


def test_a_group_counts_the_examples_that_are_in_it_alone() -> None:
    scores = gathered(*[{"accuracy:a": 1, "of:a": 1}, {"accuracy:a": 0, "of:a": 1}] * 10, *[{"accuracy:b": 0, "of:b": 1}] * 30)
    low, high = scores.intervals({"accuracy:a": Ratio("accuracy:a", "of:a")})["accuracy:a"]
    assert 0.2 < low < 0.4
    assert 0.6 < high < 0.8


@pytest.mark.parametrize("share", [0, 1])
def test_where_all_examples_agree_the_interval_is_still_honest(share: int) -> None:
    low, high = of([float(share)] * 20).intervals(MEAN)["accuracy"]
    assert (low, high) == pytest.approx((0, 0.161) if share == 0 else (0.839, 1), abs=0.001), "Wilson's, of 0 or 20 among 20"


def test_two_models_on_the_same_examples_are_compared_example_by_example() -> None:
    hard = np.random.default_rng(0).random(200) < 0.5
    worse = [float(easy) for easy in ~hard]
    better = [1.0 if place % 10 == 0 else value for place, value in enumerate(worse)]
    found = of(better).less(of(worse), MEAN)["accuracy"]
    assert found.difference == pytest.approx(sum(better) / 200 - sum(worse) / 200)
    assert 0 < found.low < found.difference < found.high
    assert found.p < 0.05
    apart = of(better).intervals(MEAN)["accuracy"][0] - of(worse).intervals(MEAN)["accuracy"][1]
    assert apart < 0, "each by itself would not have told them apart"


def test_a_model_does_not_differ_from_itself() -> None:
    found = of([0, 1, 1]).less(of([0, 1, 1]), MEAN)["accuracy"]
    assert found == (0, 0, 0, 1)


@given(better=st.integers(0, 12), worse=st.integers(0, 12))
def test_the_sign_test_counts_all_ways_to_differ_so_unequally(better: int, worse: int) -> None:
    count = better + worse
    ways = [sum(signs) for signs in product((0, 1), repeat=min(count, 12))] if count <= 12 else []
    if ways:
        extreme = sum(way <= min(better, worse) or way >= max(better, worse) for way in ways)
        assert sign_test(better, worse) == pytest.approx(extreme / len(ways))
    assert 0 < sign_test(better, worse) == sign_test(worse, better) <= 1


def test_the_sign_test_of_many_examples_is_a_number() -> None:
    assert sign_test(50_000, 50_000) == pytest.approx(1)
    assert 0 <= sign_test(0, 100_000) < 1e-12
