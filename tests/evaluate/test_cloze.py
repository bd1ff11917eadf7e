"""Completing texts."""

import math
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.cloze import Cloze
from pipeline.evaluate.continuations import Likelihoods, Pair
from tests.evaluate.files import written

RECORDS = [{"context": "The fox jumped over the", "continuation": "dog"}, {"context": "狐狸跳过了", "continuation": "狗"}]


def example(folder: Path) -> Cloze:
    return Cloze(file=written(folder, RECORDS))


def test_a_continuation_follows_its_context_after_a_space(tmp_path: Path) -> None:
    assert [question.pairs for question in example(tmp_path).examples(NoDocuments())] == [
        (Pair("The fox jumped over the", " dog"),),
        (Pair("狐狸跳过了", " 狗"),),
    ]


def test_accuracy_counts_what_would_have_been_written_and_perplexity_is_that_of_a_whole_continuation(tmp_path: Path) -> None:
    task = example(tmp_path)
    questions = list(task.examples(NoDocuments()))
    answers = [Likelihoods((-2.0,), (3,), (True,)), Likelihoods((-4.0,), (1,), (False,), truncated=1)]
    scores = [task.score(*pair) for pair in zip(questions, answers, strict=True)]
    totals = {name: sum(score[name] for score in scores) for name in scores[0]}
    assert task.metrics(totals, 2, NoDocuments()) == {
        "accuracy": 0.5,
        "loss": 3.0,
        "perplexity": pytest.approx(math.exp(3)),
        "truncated": 1,
    }


def test_a_record_without_a_continuation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"few\.jsonl#1 has nothing to follow"):
        Cloze(file=written(tmp_path, [{"context": "The", "continuation": None}])).check()
