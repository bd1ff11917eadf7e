"""What every task to fine-tune on promises: each file in pipeline/finetune that has one is found and tried here."""

import importlib
import inspect
import json
import math
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import pipeline.finetune
from pipeline.errors import RequestError
from pipeline.finetune.base import Answered, FinetuneTask, Unfit
from pipeline.finetune.card import TAGS
from pipeline.finetune.reader import Reader
from pipeline.metrics.totals import summed, with_intervals
from pipeline.models.llama import Llama
from pipeline.models.t5 import T5
from pipeline.workflow.fingerprint import canonical
from tests.finetune.conftest import Family, family, tokenizer

__all__ = ["family", "tokenizer"]


def _below(kind: type[FinetuneTask]) -> Iterator[type[FinetuneTask]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


for module in pkgutil.iter_modules(pipeline.finetune.__path__):
    importlib.import_module(f"pipeline.finetune.{module.name}")
TASKS = sorted({kind for kind in _below(FinetuneTask) if not inspect.isabstract(kind)}, key=lambda kind: kind.__name__)
each = pytest.mark.parametrize("kind", TASKS, ids=[kind.__name__ for kind in TASKS])

CHAT = [{"role": "user", "content": "Where is the fox?"}]
RECORDS: dict[str, dict[str, Any]] = {
    "SequenceClassification": {"text": "The fox sang.", "label": "warm"},
    "PairClassification": {"text": "The fox sang.", "text_b": "It sang.", "label": "same"},
    "TokenClassification": {"tokens": ["The", "fox", "sang"], "tags": ["O", "B-ANIMAL", "O"]},
    "QuestionAnswering": {"context": "The fox sang.", "question": "Who?", "answers": {"text": ["fox"], "answer_start": [4]}},
    "GenerativeQuestionAnswering": {"context": "The fox sang.", "question": "Who?", "answers": {"text": ["fox"], "answer_start": [4]}},
    "Translation": {"source": "el zorro", "target": "the fox"},
    "Summarization": {"document": "The fox sang and sang.", "summary": "It sang."},
    "DialogueResponse": {"dialogue": "#Person1#: Who sang?\n#Person2#: The fox."},
    "InstructionTuning": {"instruction": "Who sang?", "input": "", "output": "The fox."},
    "PreferenceTuning": {"prompt": CHAT, "chosen": "On the hill.", "rejected": "Who?"},
}
"""A record a task that it learns from; a new task brings its own."""


def test_there_are_some_no_two_have_one_name_and_each_has_a_record_here() -> None:
    assert {kind.__name__ for kind in TASKS} == RECORDS.keys()
    assert len({kind().name for kind in TASKS}) == len(TASKS)


@each
def test_a_recipe_without_arguments_stands_and_has_a_canonical_form(kind: type[FinetuneTask]) -> None:
    assert canonical(kind()) == canonical(kind())


@each
def test_every_kind_of_checkpoint_is_opened_by_a_class_that_a_card_can_name(kind: type[FinetuneTask]) -> None:
    assert {kind().opener(each_) for each_ in ("encoder", "decoder", "encoder-decoder")} <= TAGS.keys()


@each
def test_a_record_becomes_a_row_that_json_holds(kind: type[FinetuneTask]) -> None:
    record = RECORDS[kind.__name__]
    assert set(kind().columns) <= record.keys()
    row = kind().row(record)
    assert json.loads(json.dumps(row)) == row


@each
@pytest.mark.parametrize("wrong", [None, "", 7, ["a", 3], {"text": 5}, "\ud800"])
def test_an_odd_record_is_unfit_or_learned_from_and_nothing_else(kind: type[FinetuneTask], wrong: Any) -> None:
    record, reasons = RECORDS[kind.__name__], []
    for column in record:
        for odd in ({**record, column: wrong}, {name: value for name, value in record.items() if name != column}):
            try:
                json.dumps(kind().row(odd))
            except Unfit as problem:
                reasons.append(str(problem))
    assert all(reasons)


@each
def test_a_row_is_shown_as_arrays_of_the_names_that_are_passed_on_and_an_answer_has_metrics(
    kind: type[FinetuneTask], family: Family
) -> None:
    from pipeline.finetune.learner import open_learner

    task = kind()
    row = task.row(RECORDS[kind.__name__])
    architecture = T5(dim=32, depth=1, heads=2) if kind.__name__ in ("Translation", "Summarization") else Llama(dim=32, depth=2, heads=2)
    reader = Reader(family(architecture), tuple(sorted(task.labels(row))))
    try:
        task.check(reader)
    except RequestError:
        pytest.fail(f"{task.name} refuses {Path(reader.folder).name}")
    windows = task.completed(task.shown(row, reader).windows, reader)
    assert windows
    assert all(set(window) == set(task.inputs) for window in windows)
    model = open_learner(reader, task, None, 0.0, 0).eval().model
    for ask in (task.glances, task.answers):
        with torch.no_grad():
            (said,) = ask(model, [row], reader)
        worth = [task.score(Answered(row, json.loads(json.dumps(said))))]
        assert all(math.isfinite(value) for value in task.metrics(summed(worth)).values())
        assert task.watched in task.metrics(summed(worth))
        assert with_intervals(worth, task.metrics)["n"] == 1
