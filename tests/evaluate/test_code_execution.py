"""Programs that pass their tests, from the files of the benchmarks to pass@k."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.code_execution import CodeExecution, Problem, pass_at
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.sandbox import Limits
from pipeline.evaluate.written import Texts
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.evaluate.conftest import Trained
from tests.evaluate.shutting import sandbox
from tests.evaluate.test_human_eval import PROMPT, human_eval

__all__ = ["sandbox"]

BODIES = {"    return 2 * x\n": True, "    return x + 2\n": False, "    return (\n": False, "    raise SystemExit(0)\n": False}


def problems(task: CodeExecution) -> list[Problem]:
    return list(task.examples(NoDocuments()))


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_choices_of_k_in_which_one_passes(numbers: tuple[int, int, int]) -> None:
    samples, passed, k = numbers
    chosen = list(combinations([True] * passed + [False] * (samples - passed), k))
    assert pass_at(k, samples, passed) == pytest.approx(sum(map(any, chosen)) / len(chosen))


def test_a_problem_is_passed_by_what_makes_its_tests_pass_and_by_nothing_else(sandbox: None, tmp_path: Path) -> None:
    task = human_eval(tmp_path)
    (problem,) = problems(task)
    assert problem.prompt == PROMPT
    for body, passes in BODIES.items():
        assert task.score(problem, Texts((body,))) == {"pass@1": float(passes), "out_of_time": 0, "truncated": 0}


def test_of_several_programs_the_chance_that_one_of_k_passes_is_estimated(sandbox: None, tmp_path: Path) -> None:
    task = human_eval(tmp_path, samples=4, k=(1, 2, 4), temperature=0.8)
    (problem,) = problems(task)
    scores = task.score(problem, Texts(tuple(BODIES)))
    assert (scores["pass@1"], scores["pass@2"], scores["pass@4"]) == (0.25, 0.5, 1)


def test_a_program_that_never_ends_is_counted(sandbox: None, tmp_path: Path) -> None:
    task = human_eval(tmp_path, limits=Limits(seconds=1))
    (problem,) = problems(task)
    scores = task.score(problem, Texts(("    import time; time.sleep(100)\n",)))
    assert (scores["pass@1"], scores["out_of_time"]) == (0, 1)


def test_an_evaluation_runs_what_a_model_writes(sandbox: None, trained: Trained, tmp_path: Path) -> None:
    task = human_eval(tmp_path, samples=3, k=(1, 3), temperature=1.0, max_new_tokens=8)
    step = Evaluate(checkpoint=trained.step, tasks=(task,))
    scores = run([step], trained.store, InlineExecutor()).manifests[step.address].facts["scores"]["humaneval"]
    assert scores["pass@1"] == scores["pass@3"] == 0, "it was trained on foxes"
    assert (scores["n"], scores["out_of_time"]) == (1, 0)


def test_nothing_is_run_unless_the_recipe_says_so(trained: Trained, tmp_path: Path) -> None:
    task = human_eval(tmp_path, allow_execution=False)
    for act in (task.check, lambda: task.subject(trained.folder), lambda: task.score(problems(task)[0], Texts(("    return 1\n",)))):
        with pytest.raises(RequestError, match="allow_execution is false: say allow_execution=true"):
            act()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"k": (2,)}, r"k of humaneval is \(2,\), and samples 1"),
        ({"k": ()}, r"k of humaneval is \(\)"),
        ({"samples": 5, "k": (0,)}, r"k of humaneval is \(0,\)"),
        ({"samples": 5}, "all alike at temperature 0"),
        ({"temperature": math.nan}, "temperature is nan"),
    ],
)
def test_a_wrong_value_is_refused(fields: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=words):
        human_eval(tmp_path, **fields)
