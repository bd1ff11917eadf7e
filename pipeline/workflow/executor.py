"""Who does the work: the executor protocol, and the executor that does it all in this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.step import Member
from pipeline.workflow.unit import Unit, UnitTask

Report = Callable[[Mapping[str, Any]], None]


class Executor(Protocol):
    """Who does the work: this process, or a cluster. Never a part of any identity."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterable[tuple[int, Receipt]]:
        """Run the tasks, in any order; yields (task.index, receipt) as each is committed."""

    def gang(self, task: UnitTask, sizes: Sequence[int], report: Report) -> None:
        """Run `task.work(unit, member)` in as many processes at once as the first of `sizes` says, or, where there is no room for them, in
        as many as another of them says; the first process commits (`run_member`)."""


@dataclass(frozen=True)
class Alone:
    """The only member of a gang of one."""

    tell: Report
    rank: int = 0
    size: int = 1
    leaving: bool = False

    def report(self, metrics: Mapping[str, Any]) -> None:
        self.tell(metrics)

    def saved(self) -> None:
        """A gang of one that nobody can add to goes on as it is."""


class InlineExecutor:
    """Everything in this process, one unit after the other."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        for task in tasks:
            yield task.index, task.run()

    def gang(self, task: UnitTask, sizes: Sequence[int], report: Report) -> None:
        if sizes[0] != 1:
            raise RequestError(f"without a cluster there is one process, not {sizes[0]}: use --cluster local, or 1 worker")
        run_member(task, Alone(report))


def run_member(task: UnitTask, member: Member) -> None:
    """A member's part of a gang: every member works, the first one commits."""
    unit = Unit(open_store(task.root), task.address, task.phase, task.index)
    facts = task.work(unit, member)
    if member.rank == 0:
        task.commit(unit, facts)
