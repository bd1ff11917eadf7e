"""Problems of MBPP, from its file to programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.code_execution import Problem
from pipeline.evaluate.mbpp import Mbpp
from pipeline.evaluate.task_file import TaskFile
from pipeline.evaluate.written import Texts
from tests.evaluate.shutting import need_sandbox, sandbox

__all__ = ["sandbox"]


def mbpp(folder: Path, **fields: Any) -> Mbpp:
    rows = [
        {
            "task_id": number,
            "text": f"Add {number}.",
            "code": f"def add(x):\r\n  return x + {number}",
            "test_list": [f"assert add(1) == {number + 1}"],
            "test_setup_code": "start = 0",
        }
        for number in range(1, 14)
    ]
    (folder / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Mbpp(file=TaskFile.at(str(folder / "mbpp.jsonl")), **{"allow_execution": True, **fields})


def example(folder: Path) -> Mbpp:
    need_sandbox()
    return mbpp(folder)


def answer(question: Problem) -> Texts:
    return Texts((question.solution,))


def test_a_problem_of_mbpp_comes_after_solved_ones_with_its_tests(sandbox: None, tmp_path: Path) -> None:
    task = mbpp(tmp_path, shots=2)
    found = list(task.examples(NoDocuments()))
    assert len(found) == 3, "11, 12 and 13"
    assert found[0].prompt.count("[BEGIN]") == 3
    assert found[0].prompt.startswith("You are an expert Python programmer, and here is your task: Add 2. Your code should pass these")
    assert "assert add(1) == 12\n[BEGIN]\n" in found[0].prompt
    assert "\r" not in found[0].prompt
    assert [task.score(found[0], Texts((problem.solution,)))["pass@1"] for problem in found] == [1, 0, 0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"task_id": 12, "text": "x", "code": "y"}, "no column 'test_list'"),
        ({"task_id": 12, "text": "x", "code": "y", "test_list": "assert x"}, "as test_list: give a list of texts"),
        ({"task_id": "X/1"}, "'X/1' as task_id: give MBPP's file"),
    ],
)
def test_a_file_that_is_another_is_refused(sandbox: None, row: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(RequestError, match=words):
        Mbpp(file=TaskFile.at(str(tmp_path / "other.jsonl")), allow_execution=True).check()


def test_more_shots_than_there_are_problems_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="shots of mbpp is 10: use 0 to 9"):
        mbpp(tmp_path, shots=10)


@pytest.mark.slow
def test_the_known_solutions_of_the_real_benchmark_pass(sandbox: None, shared_data: Path) -> None:
    task = Mbpp(file=TaskFile.at(str(shared_data / "finetune/code/MBPP_mbpp.jsonl")), allow_execution=True, limit=100)
    assert all(task.score(problem, Texts((problem.solution,)))["pass@1"] == 1 for problem in task.examples(NoDocuments()))
