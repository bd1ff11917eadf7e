"""What every evaluation task promises: each file in pipeline/evaluate that has one is found and tried here."""

import importlib
import math
import pkgutil
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest

import pipeline.evaluate
from pipeline.evaluate.base import Answer, EvalTask
from pipeline.workflow.fingerprint import canonical

for module in pkgutil.iter_modules(pipeline.evaluate.__path__):
    importlib.import_module(f"pipeline.evaluate.{module.name}")
TASKS = sorted(EvalTask.__subclasses__(), key=lambda kind: kind.__name__)
each = pytest.mark.parametrize("kind", TASKS)


class Few:
    """Held-out documents."""

    def texts(self) -> Iterator[str]:
        yield from ("One document.", "另一个文件。", "")


def test_there_is_one_and_no_two_have_one_name() -> None:
    assert TASKS
    assert len({kind().name for kind in TASKS}) == len(TASKS)


@each
def test_a_recipe_without_arguments_stands_and_has_a_canonical_form(kind: type[EvalTask]) -> None:
    assert canonical(kind()) == canonical(kind())


@each
def test_it_asks_the_same_each_time(kind: type[EvalTask]) -> None:
    assert list(islice(kind().examples(Few()), 50)) == list(islice(kind().examples(Few()), 50)) != []


@each
def test_every_answer_has_a_score_and_the_metrics_are_numbers(kind: type[EvalTask]) -> None:
    task, totals, count = kind(), Counter[str](), 0
    for example in islice(task.examples(Few()), 50):
        totals.update(task.score(example, Answer((1.5,) * len(example.texts), (2,) * len(example.texts))))
        count += 1
    metrics = task.metrics(totals, count, Few())
    assert metrics
    assert all(math.isfinite(value) for value in metrics.values())
    assert "n" not in metrics, "the number of examples is added by the evaluation"
