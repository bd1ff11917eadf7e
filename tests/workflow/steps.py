"""Tiny steps on which the promises of the core are tried."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.workflow.fingerprint import execution
from pipeline.workflow.step import Context, Member, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class AtLeast:
    """Stands for a filter."""

    least: int = 50
    share: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Numbers(Step[Any]):
    """Writes the numbers below `count`, a file each."""

    count: int = 3
    offset: int = 0
    workers: int = execution(1)
    journal: str | None = execution(None)
    """A local file that gets a line for every unit that is really done."""
    broken: tuple[int, ...] = execution(())
    """Units that fail."""
    pause: float = execution(0.0)
    """Seconds that a unit takes."""

    def run(self, context: Context) -> Mapping[str, Any]:
        receipts = list(context.map(self.write, range(self.count)))
        return {"read": self.count, "kept": sum(receipt.facts["kept"] for receipt in receipts), "dropped": {}}

    def write(self, unit: Unit, number: int) -> Mapping[str, Any]:
        time.sleep(self.pause)
        if number in self.broken:
            raise OSError(f"unit {number} is broken")
        if self.journal:
            with open(self.journal, "a", encoding="utf-8") as file:
                file.write(f"{number}\n")
        unit.write("numbers", f"{number + self.offset}\n".encode(), ".txt", rows=1)
        return {"kept": 1}


@dataclass(frozen=True, kw_only=True)
class Total(Step[Any]):
    """The sum of some numbers, in two phases that meet in scratch files."""

    numbers: Step[Any]
    filters: tuple[AtLeast, ...] = (AtLeast(),)
    pause: float = execution(0.0)

    def run(self, context: Context) -> Mapping[str, Any]:
        parts = [receipt.scratch[0] for receipt in context.map(self.read, context.open(self.numbers).files("numbers"))]
        list(context.map(self.add, [parts]))
        return {"parts": len(parts)}

    def read(self, unit: Unit, entry: Any) -> Mapping[str, Any]:
        time.sleep(self.pause)
        unit.scratch("parts", unit.open(self.numbers).local(entry).read_bytes(), ".txt")
        return {}

    def add(self, unit: Unit, parts: list[Any]) -> Mapping[str, Any]:
        time.sleep(self.pause)
        unit.write("total", str(sum(int(unit.local(part).read_text()) for part in parts)).encode(), ".txt")
        return {}


@dataclass(frozen=True, kw_only=True)
class Trained(Step[Any]):
    """Stands for training: a gang."""

    numbers: Step[Any]
    workers: int = execution(1)

    def run(self, context: Context) -> Mapping[str, Any]:
        return context.gang(self.train, self.workers).facts

    def train(self, unit: Unit, member: Member) -> Mapping[str, Any]:
        member.report({"step": 1, "loss": 2.5})
        unit.write("model", b"weights", ".bin")
        return {"members": member.size, "process": os.getpid() > 0}


def tree(root: str) -> dict[str, bytes]:
    """Every file below a root, without what is recorded but no identity (provenance)."""
    places = sorted(place for place in Path(root).rglob("*") if place.is_file() and place.name != "manifest.json")
    return {place.relative_to(root).as_posix(): place.read_bytes() for place in places}
