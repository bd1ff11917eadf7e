"""What every evaluation task promises: each file in pipeline/evaluate that has one is found and tried here.

One that cannot be made without arguments shows an instance of itself as `example(folder)` in tests/evaluate/test_NAME.py, where
`folder` is an empty folder; one whose answers are no likelihoods shows one as `answer(question)` there, too.
"""

import importlib
import json
import math
import pickle
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import pipeline.evaluate
from pipeline.evaluate.base import Answer, EvalTask, Example
from pipeline.evaluate.continuations import Likelihoods, Question
from pipeline.workflow.fingerprint import canonical, canonical_json

Task = EvalTask[Any, Any]


def found(cls: type[Any]) -> Iterator[type[Task]]:
    """The concrete classes below `cls` that live in pipeline/evaluate."""
    for below in cls.__subclasses__():
        if below.__module__.startswith("pipeline.evaluate.") and not below.__abstractmethods__:
            yield below
        yield from found(below)


for module in pkgutil.iter_modules(pipeline.evaluate.__path__):
    importlib.import_module(f"pipeline.evaluate.{module.name}")
TASKS = sorted(set(found(EvalTask)), key=lambda kind: kind.__name__)


def shown(kind: type[Task]) -> Any:
    """The test module of a task."""
    return importlib.import_module(f"tests.evaluate.test_{kind.__module__.removeprefix('pipeline.evaluate.')}")


@pytest.fixture(params=TASKS, ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Task]:
    """Makes a task anew, as another command would."""
    kind = request.param

    def example() -> Task:
        try:
            task: Task = kind()
        except TypeError:
            assert hasattr(shown(kind), "example"), f"give {shown(kind).__name__} a function example(folder) that returns a {kind.__name__}"
            task = shown(kind).example(tmp_path)
        assert type(task) is kind
        return task

    return example


@pytest.fixture
def task(make: Callable[[], Task]) -> Task:
    return make()


class Few:
    """Held-out documents."""

    def texts(self) -> Iterator[str]:
        yield from ("One document.", "另一个文件。", "")


def answer_to(task: Task, question: Any) -> Any:
    """Some answer to a question."""
    match question:
        case Example():
            return Answer((1.5,) * len(question.texts), (2,) * len(question.texts))
        case Question():
            count = len(question.pairs)
            return Likelihoods(tuple(-1.5 - place for place in range(count)), (2,) * count, (True,) * count)
    return shown(type(task)).answer(question)


def answered(task: Task) -> list[tuple[Any, Any]]:
    return [(question, answer_to(task, question)) for question in islice(task.examples(Few()), 50)]


def test_there_are_tasks_and_no_two_kinds_have_one_name() -> None:
    assert len({kind.kind() for kind in TASKS}) == len(TASKS) > 0


def test_a_recipe_has_a_canonical_form_and_nothing_of_this_machine_in_it(make: Callable[[], Task], tmp_path: Path) -> None:
    assert canonical(make()) == canonical(make())
    assert str(tmp_path) not in canonical_json(canonical(make())).decode()


def test_it_says_what_it_is_for(task: Task) -> None:
    assert task.__doc__
    assert not task.__doc__.startswith(f"{type(task).__name__}(")
    assert task.name


def test_it_travels_to_a_worker(task: Task) -> None:
    assert pickle.loads(pickle.dumps(task)) == task


def test_it_asks_the_same_each_time(task: Task) -> None:
    task.check()
    assert list(islice(task.examples(Few()), 50)) == list(islice(task.examples(Few()), 50)) != []


def test_every_answer_has_a_score_and_the_metrics_are_numbers(task: Task) -> None:
    totals, count = Counter[str](), 0
    for question, answer in answered(task):
        totals.update(task.score(question, answer))
        count += 1
    metrics = task.metrics(totals, count, Few())
    assert metrics
    assert all(math.isfinite(value) for value in metrics.values())
    assert "n" not in metrics, "the number of examples is added by the evaluation"


def test_its_ratios_are_metrics_and_of_scores_that_there_are(task: Task) -> None:
    totals = Counter[str]()
    for question, answer in answered(task):
        totals.update(task.score(question, answer))
    ratios = task.ratios(totals)
    metrics = task.metrics(totals, len(answered(task)), Few())
    for name, (above, below) in ratios.items():
        assert above in totals
        assert below is None or below in totals
        assert metrics[name] == pytest.approx(totals[above] / (len(answered(task)) if below is None else totals[below]))


def test_every_answer_can_be_kept(task: Task) -> None:
    for question, answer in answered(task):
        record = task.record(question, answer)
        assert isinstance(record.asked, str)
        assert isinstance(record.answered, str)
        json.dumps(dict(task.score(question, answer)))
