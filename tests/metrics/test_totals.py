"""Metrics from totals, and how sure they are."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.classification import label_metrics, label_scores
from pipeline.metrics.totals import summed, with_intervals

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40)


@given(PAIRS)
def test_accuracy_and_macro_f1_are_those_of_their_definitions(pairs: list[tuple[str, str]]) -> None:
    metrics = label_metrics(summed([label_scores(*pair) for pair in pairs]))
    assert metrics["accuracy"] == pytest.approx(sum(expected == said for expected, said in pairs) / len(pairs))
    scores = []
    for label in {label for pair in pairs for label in pair}:
        hits = sum(pair == (label, label) for pair in pairs)
        said = sum(said == label for _, said in pairs)
        expected = sum(expected == label for expected, _ in pairs)
        precision, recall = hits / said if said else 0.0, hits / expected if expected else 0.0
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    assert metrics["f1"] == pytest.approx(sum(scores) / len(scores))


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    random.seed(0)
    scores = [{"right": float(random.random() < 0.7)} for _ in range(400)]
    found = with_intervals(scores, lambda totals: {"share": totals["right"] / totals["n"]})
    half = 1.96 * math.sqrt(found["share"] * (1 - found["share"]) / 400)
    assert found["share_low"] == pytest.approx(found["share"] - half, abs=0.01)
    assert found["share_high"] == pytest.approx(found["share"] + half, abs=0.01)
    assert found["n"] == 400


def test_an_interval_is_the_same_each_time() -> None:
    scores = [{"right": float(number % 3 == 0)} for number in range(50)]
    metrics = [with_intervals(scores, lambda totals: {"share": totals["right"] / totals["n"]}) for _ in range(2)]
    assert metrics[0] == metrics[1]
