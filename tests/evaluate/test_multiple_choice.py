"""Choosing among answers: how a record becomes a question, and what the likelihoods of its choices are worth."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.continuations import Likelihoods, Pair, Question
from pipeline.evaluate.multiple_choice import BINS, MultipleChoice, calibrated, place_of
from tests.evaluate.files import QUESTIONS, written


def example(folder: Path) -> MultipleChoice:
    return MultipleChoice(file=written(folder, QUESTIONS), by="about")


def asked(task: MultipleChoice) -> list[Question]:
    return list(task.examples(NoDocuments()))


def answer(*logs: float) -> Likelihoods:
    return Likelihoods(logs, (1,) * len(logs), (False,) * len(logs))


def test_each_choice_is_asked_about_after_the_question_and_after_nothing_but_the_word_answer(tmp_path: Path) -> None:
    first, *_ = asked(example(tmp_path))
    given, alone = "What runs?\nAnswer:", "Answer:"
    assert first.pairs == (Pair(given, " the fox"), Pair(given, " a stone"), Pair(alone, " the fox"), Pair(alone, " a stone"))
    assert (first.right, first.lengths, first.group) == (0, (7, 7), "animals")


def test_letters_are_chosen_after_a_list_of_what_they_stand_for(tmp_path: Path) -> None:
    task = MultipleChoice(file=written(tmp_path, QUESTIONS), layout="letters", unconditional=None)
    assert asked(task)[1].pairs == tuple(Pair("What is wet?\nA. sand\nB. the sea\nC. dust\nAnswer:", f" {letter}") for letter in "ABC")


def test_shots_are_other_records_with_their_answers_and_the_same_in_every_run(tmp_path: Path) -> None:
    task = MultipleChoice(file=written(tmp_path, QUESTIONS), shots=2, description="On {about}.\n\n")
    for place, question in enumerate(asked(task)):
        head, *shots, last = question.pairs[0].given.split("\n\n")
        assert head == f"On {QUESTIONS[place]['about']}."
        assert last == f"{QUESTIONS[place]['query']}\nAnswer:"
        known = [f"{record['query']}\nAnswer: {record['choices'][record['gold']]}" for record in QUESTIONS]
        assert len(set(shots)) == 2
        assert set(shots) <= set(known) - {known[place]}
    assert asked(task) == asked(task)
    assert asked(task) != asked(MultipleChoice(file=task.file, shots=2, description=task.description, seed=1))


def test_shots_may_come_from_another_file(tmp_path: Path) -> None:
    other = written(tmp_path, [{"query": "And?", "choices": ["so", "no"], "gold": 1}], "other.jsonl")
    task = MultipleChoice(file=written(tmp_path, QUESTIONS), shots=1, shots_from=other)
    assert {question.pairs[0].given.split("\n\n")[0] for question in asked(task)} == {"And?\nAnswer: no"}


def test_choices_may_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    task = MultipleChoice(file=written(tmp_path, [{"query": "?", "one": "yes", "two": "no", "gold": "B"}]), choices="one+two")
    assert [pair.text for pair in asked(task)[0].pairs[:2]] == [" yes", " no"]
    assert asked(task)[0].right == 1


def test_the_sum_the_sum_a_character_and_what_a_choice_gains_by_the_question_may_each_choose_differently(tmp_path: Path) -> None:
    question = Question(tuple([Pair("", "")] * 6), right=1, lengths=(1, 10, 4))
    scores = example(tmp_path).score(question, answer(-3.0, -4.0, -5.0, -2.0, -4.5, -7.0))
    assert (scores["accuracy"], scores["accuracy_norm"], scores["accuracy_pmi"]) == (0, 1, 0)
    scores = example(tmp_path).score(question, answer(-3.0, -4.0, -5.0, -3.0, -6.0, -5.0))
    assert scores["accuracy_pmi"] == 1


@given(st.lists(st.lists(st.floats(-20, 0), min_size=2, max_size=5), min_size=1, max_size=20), st.data())
def test_calibration_follows_from_the_probabilities_of_all_examples(tmp_path_factory: Any, logs: list[list[float]], data: Any) -> None:
    rights = [data.draw(st.integers(0, len(each) - 1)) for each in logs]
    shares = [np.exp(each) / np.exp(each).sum() for each in map(np.array, logs)]
    most = np.array([share.max() for share in shares])
    correct = np.array([share.argmax() == right for share, right in zip(shares, rights, strict=True)])
    bins = np.minimum((most * BINS).astype(int), BINS - 1)
    expected = sum(abs(most[bins == place].mean() - correct[bins == place].mean()) * (bins == place).mean() for place in set(bins))
    totals: dict[str, float] = {}
    for each, right in zip(logs, rights, strict=True):
        for name, value in calibrated(np.array(each), right).items():
            totals[name] = totals.get(name, 0) + value
    assert math.fsum(abs(gap) for name, gap in totals.items() if name != "brier") / len(logs) == pytest.approx(expected, abs=1e-9)
    brier = sum(((share - (np.arange(len(share)) == right)) ** 2).sum() for share, right in zip(shares, rights, strict=True))
    assert totals["brier"] == pytest.approx(brier)


@pytest.mark.parametrize(
    ("label", "texts", "place"),
    [
        *((0, ["x", "y"], 0), ("1", ["x", "y"], 1), ("B", ["x", "y"], 1), ("y", ["x", "y"], 1), (True, ["no", "yes"], 1)),
        *(("B", ["B", "A"], 0), (2, ["x", "y"], None), (-1, ["x", "y"], None), ("C", ["x", "y"], None), (None, ["x", "y"], None)),
    ],
)
def test_a_label_is_a_place_a_letter_or_a_text(label: object, texts: list[str], place: int | None) -> None:
    assert place_of(label, texts) == place


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"query": "?", "choices": ["a", "b"], "gold": 2}, ["few.jsonl#1", "the label 2", "2 choices"]),
    ({"query": "?", "choices": ["a"], "gold": 0}, ["few.jsonl#1", "as choices"]),
    ({"query": "?", "choices": ["a", ""], "gold": 0}, ["none of them empty"]),
    ({"query": "?", "choices": "ab", "gold": 0}, ["'ab' as choices"]),
    ({"question": "?", "choices": ["a", "b"], "gold": 0}, ["no column 'query'", "'question', 'choices', 'gold'"]),
    ({"query": ["?"], "choices": ["a", "b"], "gold": 0}, ["a list in the column 'query'"]),
]


@pytest.mark.parametrize(("record", "words"), WRONG)
def test_a_record_that_is_no_question_is_refused_before_a_model_is_opened(tmp_path: Path, record: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        MultipleChoice(file=written(tmp_path, [record])).check()
    assert all(word in str(refused.value) for word in words)


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, QUESTIONS)
    for settings, words in (
        ({"limit": 0}, "limit of few is 0"),
        ({"shots": -1}, "shots of few is -1"),
        ({"shots_from": file}, "shots is 0"),
    ):
        with pytest.raises(RequestError, match=words):
            MultipleChoice(file=file, **settings)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="shots of few is 4, and there are 4 records"):
        MultipleChoice(file=file, shots=4).check()
    with pytest.raises(RequestError, match="the template"):
        MultipleChoice(file=file, prompt="{query").check()
