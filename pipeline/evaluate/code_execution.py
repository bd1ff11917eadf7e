"""Code by execution: a model writes programs, and what is measured is whether they pass their tests.

Programs run in `pipeline.evaluate.sandbox`, and only where the recipe says `allow_execution`: a model can write anything.
"""

import math
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from pipeline.errors import RequestError
from pipeline.evaluate.base import Answering, HeldOut, Record
from pipeline.evaluate.file_task import FileTask
from pipeline.evaluate.sandbox import Limits, Outcome, require_sandbox, run_program
from pipeline.evaluate.task_file import Row
from pipeline.evaluate.written import Texts, Writing, WritingTask
from pipeline.inference.generation import Sampling


@dataclass(frozen=True)
class Problem:
    """What a model goes on from, and the program that its text becomes a part of."""

    prompt: str
    before: str
    """What stands before the text in the program."""
    tests: str
    solution: str
    """One that is known to be right."""

    def program(self, text: str) -> str:
        """The whole program with a text in it."""
        return f"{self.before}{text}\n{self.tests}\n"


@dataclass(frozen=True, kw_only=True)
class CodeExecution(WritingTask[Problem], FileTask[Problem, Texts]):
    """Programs that pass their tests: pass@k is the chance that one of k passes (Chen and others, 2021, arXiv:2107.03374).

    Of each problem, `samples` programs are drawn; the estimate from them is the unbiased one. `out_of_time` counts programs that took too
    much of it by the clock.
    """

    counted: ClassVar[tuple[str, ...]] = ("truncated", "out_of_time")
    allow_execution: bool = False
    """Whether programs that a model wrote may be run, shut in."""
    samples: int = 1
    """Programs that are drawn for a problem."""
    k: tuple[int, ...] = (1,)
    temperature: float = 0.0
    """0 takes the likeliest tokens, which makes sense for one sample; the paper has 0.2 for pass@1, and 0.8 for pass@100."""
    top_p: float = 0.95
    seed: int = 0
    max_new_tokens: int = 300
    """Greatest length of a program in tokens."""
    limits: Limits = Limits()
    """What a program may take."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampling()
        if not self.k or min(self.k) < 1 or max(self.k) > self.samples:
            raise RequestError(f"k of {self.name} is {self.k}, and samples {self.samples}: use numbers from 1 to the samples of a problem")
        if self.samples > 1 and not self.temperature:
            raise RequestError(f"samples of {self.name} is {self.samples}, all alike at temperature 0: use a higher one, such as 0.8")

    @property
    @abstractmethod
    def stops(self) -> tuple[str, ...]:
        """What a program ends before."""

    @abstractmethod
    def problem(self, row: Row) -> Problem:
        """The problem in a record, without examples before it; raises RequestError for columns that are not there."""

    def sampling(self) -> Sampling:
        """How programs are drawn."""
        return Sampling(max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_k=0, top_p=self.top_p, seed=self.seed)

    def check(self) -> None:
        self.require_permission()
        super().check()

    def require_permission(self) -> None:
        """Raise RequestError unless programs may be run, and can be shut in here."""
        if not self.allow_execution:
            raise RequestError(
                f"{self.name} runs programs that a model wrote, and allow_execution is false: say allow_execution=true to run them in a"
                " sandbox without a network, files and rights"
            )
        require_sandbox()

    def subject(self, folder: Path) -> Answering[Problem, Texts]:
        self.require_permission()
        return Writing[Problem](folder, self.sampling(), self.stops, self.samples)

    def examples(self, held_out: HeldOut) -> Iterator[Problem]:  # noqa: ARG002 - it has its own
        return map(self.problem, self.rows())

    def outcomes(self, problem: Problem, texts: Sequence[str]) -> list[Outcome]:
        """What comes of each text as a program; as many run at a time as there are processors."""
        self.require_permission()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return list(threads.map(partial(run_program, limits=self.limits), map(problem.program, texts)))

    def score(self, example: Problem, answer: Texts) -> Mapping[str, float]:
        outcomes = [outcome.ended for outcome in self.outcomes(example, answer.texts)]
        passed, count = outcomes.count("passed"), len(outcomes)
        return {
            **{f"pass@{k}": pass_at(k, count, passed) for k in self.k},
            "out_of_time": float(outcomes.count("time")),
            "truncated": float(answer.truncated),
        }

    def record(self, example: Problem, answer: Texts) -> Record:
        return Record(example.prompt, "\n# ----\n".join(answer.texts), example.solution)


def pass_at(k: int, samples: int, passed: int) -> float:
    """The chance that of k programs one passes at least, estimated without bias from how many of some samples did."""
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)
