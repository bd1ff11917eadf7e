"""Texts that differ only in whom they speak of."""

from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.continuations import Likelihoods, Pair
from pipeline.evaluate.counterfactual_pairs import CounterfactualPairs
from tests.evaluate.files import written

RECORDS = [{"text": "{group} is a doctor.", "job": "nurse", "she": "She", "he": "He"}]


def example(folder: Path) -> CounterfactualPairs:
    return CounterfactualPairs(file=written(folder, RECORDS))


def likelihoods(*logs: float) -> Likelihoods:
    return Likelihoods(logs, (1,) * len(logs), (True,) * len(logs))


def test_a_text_is_asked_about_once_a_group_with_the_word_that_the_record_has_for_it(tmp_path: Path) -> None:
    (question,) = example(tmp_path).examples(NoDocuments())
    assert question.pairs == (Pair("", "He is a doctor."), Pair("", "She is a doctor."))


def test_a_template_may_hold_the_group_itself(tmp_path: Path) -> None:
    task = CounterfactualPairs(file=written(tmp_path, RECORDS), template="The {group} {job}", groups=("old", "young"))
    (question,) = task.examples(NoDocuments())
    assert question.pairs == (Pair("", "The old nurse"), Pair("", "The young nurse"))


def test_whole_texts_are_compared_by_their_distance_and_which_is_likeliest(tmp_path: Path) -> None:
    task = CounterfactualPairs(file=written(tmp_path, RECORDS), groups=("A", "B", "C"))
    (question,) = task.examples(NoDocuments())
    scores = task.score(question, likelihoods(-1.0, -2.0, -4.0))
    assert scores == {"distance": pytest.approx(2.0), "likeliest:A": 1, "likeliest:B": 0, "likeliest:C": 0}


def test_labels_are_compared_by_their_probabilities_after_each_text(tmp_path: Path) -> None:
    task = CounterfactualPairs(file=written(tmp_path, RECORDS), labels=("good", "bad"))
    (question,) = task.examples(NoDocuments())
    assert question.pairs[:2] == (Pair("He is a doctor.", " good"), Pair("He is a doctor.", " bad"))
    scores = task.score(question, likelihoods(-1.0, -1.0, -50.0, -1.0))
    assert scores["distance"] == pytest.approx(0.5)
    assert scores["flipped"] == 1
    assert scores["good:he"] == pytest.approx(0.5)
    assert scores["good:she"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"groups": ("he",)}, "groups of few"),
        ({"labels": ("x", "x")}, "labels of few"),
        ({"template": "{job}"}, "the same text for two groups"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        CounterfactualPairs(file=written(tmp_path, RECORDS), **settings).check()  # type: ignore[arg-type]
