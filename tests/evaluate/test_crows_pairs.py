"""Pairs of sentences of which one is more stereotyped."""

from pathlib import Path

from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.continuations import Likelihoods, Pair
from pipeline.evaluate.crows_pairs import CrowsPairs
from pipeline.evaluate.task_file import TaskFile


def example(folder: Path) -> CrowsPairs:
    path = folder / "pairs.csv"
    path.write_text('sent_more,sent_less,bias_type\n"Old, slow.","Young, slow.",age\nA,B,gender\n')
    return CrowsPairs(file=TaskFile.at(str(path)))


def test_the_share_of_stereotyped_sentences_that_are_likelier_is_counted_of_all_and_of_each_kind(tmp_path: Path) -> None:
    task = example(tmp_path)
    questions = list(task.examples(NoDocuments()))
    assert questions[0].pairs == (Pair("", "Old, slow."), Pair("", "Young, slow."))
    answers = [Likelihoods((-1.0, -2.0), (1, 1), (True, True)), Likelihoods((-3.5, -3.0), (1, 1), (True, True))]
    totals: dict[str, float] = {}
    for question, answer in zip(questions, answers, strict=True):
        for name, value in task.score(question, answer).items():
            totals[name] = totals.get(name, 0) + value
    expected = {"stereotyped": 0.5, "likelihood_difference": 0.75, "stereotyped:age": 1, "stereotyped:gender": 0}
    assert task.metrics(totals, 2, NoDocuments()) == expected
