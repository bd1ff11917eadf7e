"""Problems of HumanEval, from its file to programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.code_execution import Problem
from pipeline.evaluate.human_eval import HumanEval
from pipeline.evaluate.task_file import TaskFile
from pipeline.evaluate.written import Texts
from tests.evaluate.shutting import need_sandbox, sandbox

__all__ = ["sandbox"]
PROMPT = 'def double(x: int) -> int:\n    """Twice x."""\n'
TEST = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n"


def human_eval(folder: Path, **fields: Any) -> HumanEval:
    row = {"task_id": "X/0", "prompt": PROMPT, "canonical_solution": "    return x + x\n", "test": TEST, "entry_point": "double"}
    (folder / "humaneval.jsonl").write_text(json.dumps(row) + "\n")
    return HumanEval(file=TaskFile.at(str(folder / "humaneval.jsonl")), **{"allow_execution": True, **fields})


def example(folder: Path) -> HumanEval:
    need_sandbox()
    return human_eval(folder, samples=2, k=(1, 2), temperature=0.5)


def answer(question: Problem) -> Texts:
    return Texts((question.solution, "    pass"))


def test_a_test_that_is_not_called_is_called_with_the_function(tmp_path: Path) -> None:
    (problem,) = human_eval(tmp_path).examples(NoDocuments())
    assert problem.prompt == problem.before == PROMPT
    assert problem.tests.endswith("\ncheck(double)")


def test_a_file_without_the_columns_is_refused(sandbox: None, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"task_id": 12, "text": "x"}\n')
    with pytest.raises(RequestError, match="no column 'prompt'"):
        HumanEval(file=TaskFile.at(str(tmp_path / "other.jsonl")), allow_execution=True).check()


@pytest.mark.slow
def test_the_known_solutions_of_the_real_benchmark_pass(sandbox: None, shared_data: Path) -> None:
    task = HumanEval(file=TaskFile.at(str(shared_data / "finetune/code/HumanEval_humaneval-python.jsonl")), allow_execution=True)
    asked = list(task.examples(NoDocuments()))
    assert len(asked) == 164
    assert all(task.score(problem, Texts((problem.solution,)))["pass@1"] == 1 for problem in asked)
