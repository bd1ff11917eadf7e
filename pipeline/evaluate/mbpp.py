"""MBPP: functions from a sentence and a few tests."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.errors import RequestError
from pipeline.evaluate.base import HeldOut
from pipeline.evaluate.code_execution import CodeExecution, Problem
from pipeline.evaluate.file_task import BETWEEN_SHOTS
from pipeline.evaluate.task_file import Row

SHOWN, ASKED = range(2, 11), range(11, 511)
"""The problems that are there to be shown with their solutions, and those of the test."""


@dataclass(frozen=True, kw_only=True)
class Mbpp(CodeExecution):
    """Functions from a sentence and three tests (Austin and others, 2021, arXiv:2108.07732): columns text, code, test_list and, where
    there is one, test_setup_code; of a file with task_id, the problems 11 to 510, behind the first `shots` of 2, 3, 4 and so on."""

    shots: int = 3
    """Solved problems before a problem."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.shots <= len(SHOWN):
            raise RequestError(f"shots of {self.name} is {self.shots}: use 0 to {len(SHOWN)}, since problems 2 to 10 are there for that")

    @property
    def stops(self) -> tuple[str, ...]:
        return ("[DONE]", "\nassert ")

    def examples(self, held_out: HeldOut) -> Iterator[Problem]:
        solved = [row for row in self.file.rows() if number_of(row) in SHOWN][: self.shots]
        before = "".join(f"{asked(row)}{code(row)}\n[DONE]{BETWEEN_SHOTS}" for row in solved)
        for problem in super().examples(held_out):
            yield replace(problem, prompt=before + problem.prompt)

    def rows(self) -> Iterator[Row]:
        return islice((row for row in self.file.rows() if number_of(row) in ASKED), self.limit)

    def problem(self, row: Row) -> Problem:
        return Problem(asked(row), "", "\n".join([str(row.columns.get("test_setup_code") or ""), *tests(row)]), code(row))


def number_of(row: Row) -> int:
    """The number of a problem."""
    number = row.value("task_id")
    if not isinstance(number, int):
        raise RequestError(f"{row.origin} has {number!r} as task_id: give MBPP's file, whose problems have numbers")
    return number


def asked(row: Row) -> str:
    """A problem as the paper asks it."""
    listed = "\n".join(tests(row))
    return (
        f"You are an expert Python programmer, and here is your task: {row.text('text')} Your code should pass these tests:\n\n{listed}\n"
        "[BEGIN]\n"
    )


def code(row: Row) -> str:
    """The solution, with the line ends of this system."""
    return row.text("code").replace("\r\n", "\n")


def tests(row: Row) -> list[str]:
    """The tests of a problem; raises RequestError for what is no list of texts."""
    found = row.value("test_list")
    if not isinstance(found, list) or not all(isinstance(test, str) for test in found):
        raise RequestError(f"{row.origin} has {found!r:.80} as test_list: give a list of texts")
    return found
