"""HumanEval: the bodies of functions from their docstrings."""

from dataclasses import dataclass

from pipeline.evaluate.code_execution import CodeExecution, Problem
from pipeline.evaluate.task_file import Row


@dataclass(frozen=True, kw_only=True)
class HumanEval(CodeExecution):
    """Bodies of functions from their docstrings (Chen and others, 2021): columns prompt, test, canonical_solution and, where the test
    is not called, entry_point."""

    @property
    def stops(self) -> tuple[str, ...]:
        return ("\nclass", "\ndef", "\n#", "\nif", "\nprint")

    def problem(self, row: Row) -> Problem:
        call = f"\ncheck({row.text('entry_point')})" if "entry_point" in row.columns else ""
        prompt = row.text("prompt")
        return Problem(prompt, prompt, row.text("test") + call, row.text("canonical_solution"))
