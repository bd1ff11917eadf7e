"""Pairs of sentences of which one is grammatical."""

from pathlib import Path

from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.blimp import Blimp
from pipeline.evaluate.continuations import Likelihoods, Pair
from pipeline.evaluate.task_file import TaskFile
from tests.evaluate.files import written

RECORDS = [
    {"sentence_good": "She runs.", "sentence_bad": "She run.", "UID": "agreement"},
    {"sentence_good": "a", "sentence_bad": "b", "UID": "x"},
]


def example(folder: Path) -> Blimp:
    return Blimp(file=written(folder, RECORDS))


def test_both_sentences_begin_a_document_after_a_space(tmp_path: Path) -> None:
    first, _ = example(tmp_path).examples(NoDocuments())
    assert first.pairs == (Pair("", " She runs."), Pair("", " She run."))


def test_accuracy_is_the_share_of_good_sentences_that_are_likelier_and_a_tie_is_none(tmp_path: Path) -> None:
    task = example(tmp_path)
    questions = list(task.examples(NoDocuments()))
    answers = [Likelihoods((-1.0, -2.0), (1, 1), (True, True)), Likelihoods((-1.0, -1.0), (1, 1), (True, True))]
    totals: dict[str, float] = {}
    for question, answer in zip(questions, answers, strict=True):
        for name, value in task.score(question, answer).items():
            totals[name] = totals.get(name, 0) + value
    assert task.metrics(totals, 2, NoDocuments()) == {"accuracy": 0.5, "accuracy:agreement": 1, "accuracy:x": 0}


def test_a_folder_of_files_is_one_task(tmp_path: Path) -> None:
    folder = tmp_path / "blimp"
    folder.mkdir()
    for name in ("b.jsonl", "a.jsonl"):
        written(folder, RECORDS[:1], name)
    task = Blimp(file=TaskFile.at(str(folder)))
    assert task.name == "blimp"
    assert [row.origin for row in task.rows()] == ["a.jsonl#1", "b.jsonl#1"]
