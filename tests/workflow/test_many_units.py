"""Phases of very many units: what a unit works on is there while it is needed, and no longer."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.storage import Store
from pipeline.workflow.building import Building
from pipeline.workflow.executor import Executor, InlineExecutor
from pipeline.workflow.fingerprint import execution
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Step
from pipeline.workflow.unit import Unit
from tests.executors import Backwards

UNITS = 40
alive: "weakref.WeakSet[Item]" = weakref.WeakSet()


class Item:
    """What a unit works on."""

    def __init__(self, number: int) -> None:
        self.number = number
        alive.add(self)


class Items(Sequence[Item]):
    """Items that are made when they are asked for."""

    def __len__(self) -> int:
        return UNITS

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < UNITS:
            raise IndexError(number)
        return Item(number)


@dataclass(frozen=True, kw_only=True)
class Many(Step[Any]):
    reused: bool = execution(False)

    def run(self, context: Context) -> Mapping[str, Any]:
        receipts = context.map(self.count, Items(), stands_for=(lambda item: item.number) if self.reused else None)
        assert [receipt.facts["number"] for receipt in receipts] == list(range(UNITS))
        return {"read": UNITS, "kept": UNITS, "dropped": {}}

    def count(self, unit: Unit, item: Item) -> Mapping[str, Any]:
        assert len(alive) <= 3
        return {"number": item.number}


@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize("executor", [InlineExecutor(), Backwards()], ids=["forwards", "backwards"])
def test_a_phase_holds_no_more_items_than_its_executor_has_taken(executor: Executor, reused: bool, store: Store) -> None:
    run([Many(reused=reused)], store, executor)


def test_tasks_are_a_sequence_like_a_list_of_them(store: Store) -> None:
    taken: list[Any] = []

    class Taking(InlineExecutor):
        def units(self, tasks: Sequence[Any]) -> Any:
            taken.extend([len(tasks), tasks[-1].index, [task.index for task in tasks[5:8]], [task.index for task in tasks][:3]])
            return super().units(tasks)

    building = Building(Many(), store, Taking(), [], {}, {})
    list(building.map(Many().count, Items()))
    assert taken == [UNITS, UNITS - 1, [5, 6, 7], [0, 1, 2]]
