"""Evaluations of a checkpoint: what their artifacts keep."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.answers import ANSWERS, read_answers
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.cloze import Cloze
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.perplexity import Perplexity
from pipeline.storage import open_store
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import open_artifact
from tests.evaluate.conftest import Trained
from tests.evaluate.files import QUESTIONS, written


def evaluated(trained: Trained, step: Evaluate) -> Artifact:
    run([step], trained.store, InlineExecutor())
    return open_artifact(trained.store, step)


def choosing(trained: Trained, folder: Path) -> Evaluate:
    return Evaluate(checkpoint=trained.step, tasks=(MultipleChoice(file=written(folder, QUESTIONS)),))


def test_every_question_is_kept_with_its_answer_and_scores_which_add_up_to_the_metrics(trained: Trained, tmp_path: Path) -> None:
    step = choosing(trained, tmp_path)
    artifact = evaluated(trained, step)
    questions = list(step.tasks[0].examples(NoDocuments()))
    kept = list(read_answers(artifact, "few"))
    assert [json.loads(each.record.asked) for each in kept] == [[list(pair) for pair in question.pairs] for question in questions]
    assert [each.record.expected for each in kept] == [question.pairs[question.right].text for question in questions]
    facts = artifact.facts["scores"]["few"]
    assert facts["n"] == len(QUESTIONS)
    for metric in ("accuracy", "accuracy_norm", "accuracy_pmi", "brier"):
        assert facts[metric] == pytest.approx(sum(each.scores[metric] for each in kept) / len(kept))
        assert facts[f"{metric}_low"] <= facts[metric] <= facts[f"{metric}_high"]


def test_answers_are_a_table_that_anyone_can_read(trained: Trained, tmp_path: Path) -> None:
    artifact = evaluated(trained, choosing(trained, tmp_path))
    (entry,) = artifact.files(ANSWERS)
    table = pq.read_table(artifact.local(entry))
    assert table.column_names == ["task", "number", "asked", "answered", "expected", "scores"]
    assert entry.rows == table.num_rows == len(QUESTIONS)
    assert table["number"].to_pylist() == [0, 1, 2, 3]


def test_held_out_documents_are_kept_as_digests_alone_so_that_they_can_be_forgotten(trained: Trained) -> None:
    artifact = evaluated(trained, Evaluate(checkpoint=trained.step, tasks=(Perplexity(),), tokens=trained.step.mixture[0].tokens))
    asked = [each.record.asked for each in read_answers(artifact, "perplexity")]
    assert len(asked) == artifact.facts["scores"]["perplexity"]["n"]
    assert all(each == "" or each.startswith("sha256:") for each in asked)
    assert f"sha256:{hashlib.sha256(b'').hexdigest()}" not in asked


def test_the_same_evaluation_leaves_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    step = choosing(trained, tmp_path)
    first = evaluated(trained, step)
    store = open_store(str(tmp_path / "root"))
    for entry in first.store.list(trained.step.address):
        store.put_new(entry.path, first.store.get(entry.path))
    named = Evaluate(checkpoint=Reference(of=trained.step.address, opens=type(trained.checkpoint)), tasks=step.tasks)
    again = run([named], store, InlineExecutor()).manifests[named.address]
    assert named.address == step.address
    assert again.files == first.manifest.files
    assert again.facts == first.facts


def test_without_held_out_documents_a_task_that_needs_them_is_refused(trained: Trained) -> None:
    with pytest.raises(RequestError, match=r"perplexity asks about held-out documents, and there are none: .* --sources"):
        Evaluate(checkpoint=trained.step, tasks=(Perplexity(),))


def test_a_wrong_record_is_told_of_before_anything_starts(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no column 'context'"):
        Evaluate(checkpoint=trained.step, tasks=(Cloze(file=written(tmp_path, QUESTIONS)),)).check()
