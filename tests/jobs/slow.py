"""A step that takes a while, in a module that other processes can import: that of the tests would set another Ray's token there."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Slow(Step[Artifact]):
    """Says when it was and how nice the least nice thread of its process is."""

    artifact: ClassVar[type[Artifact]] = Artifact
    number: int

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.take, (0,))
        return receipt.facts

    def take(self, unit: Unit, item: int) -> Facts:
        began = time.time()
        time.sleep(0.5)
        return {"began": began, "ended": time.time(), "niceness": min(map(_niceness, os.listdir("/proc/self/task")))}


def _niceness(thread: str) -> int:
    try:
        return os.getpriority(os.PRIO_PROCESS, int(thread))
    except ProcessLookupError:
        return 19
