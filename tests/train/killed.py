"""Kills a training again and again, at moments that are drawn from a seed, until it ends or was killed often enough. Run by test_killed.py.

    python -m tests.train.killed ROOT STEPS KILLS SEED

Every life of the training is a process of its own, forked from this one, which has the libraries loaded: so that little of a life is
spent on that. Every other one is killed inside a save: when the folder of a checkpoint is there and its manifest is not. The others end
a little after some save. How long a life is, is counted in saves, and not in time: so that a fast machine is not done too soon.
Says on stdout, as JSON, how many were killed, and how many of them left a half checkpoint.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.train.tiny import pretrain

MOST_SAVES = 6
"""Saves that are begun in a life before it is ended, at most."""
AFTER = 0.05
"""Seconds from then to the end, at most, where it is not ended inside a save."""


def recipe(steps: int) -> Any:
    """A step takes a few milliseconds, and a save is under way for some of the ten to the next."""
    return pretrain(steps, save_every=10)


@dataclass
class Life:
    """A process that trains, and what it has saved."""

    root: Path
    steps: int
    begun: set[str] = field(default_factory=set)
    """The checkpoints that were begun in it."""

    def __post_init__(self) -> None:
        self.folder = self.root / recipe(self.steps).address / "work" / "checkpoints"
        self.before = set(self._there())
        self.process = os.fork()
        if self.process == 0:
            run([recipe(self.steps)], open_store(str(self.root)), InlineExecutor())
            os._exit(0)

    def half(self) -> set[str]:
        """The new checkpoints of which there is a folder and no manifest."""
        there = self._there()
        self.begun |= there.keys() - self.before
        return {name for name in there.keys() - self.before if not (there[name] / "manifest.json").exists()}

    def saves(self, least: int, inside: bool) -> bool:
        """Whether so many were begun, and, where it is asked for, one is under way."""
        half = self.half()
        return len(self.begun) >= least and (bool(half) or not inside)

    def reaches(self, moment: Callable[[], bool]) -> bool:
        """Wait for a moment; whether it came before the end of the life. Raises where the life failed."""
        while not moment():
            found, status = os.waitpid(self.process, os.WNOHANG)
            if status:
                raise RuntimeError(f"a life ended by itself, with status {status}")
            if found:
                return False
            time.sleep(0.0005)
        return True

    def end(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def _there(self) -> dict[str, Path]:
        return {folder.name: folder for folder in self.folder.glob("*/step-*")}


def main(root: Path, steps: int, kills: int, seed: int) -> None:
    random, told = Random(seed), {"killed": 0, "inside": 0}
    while told["killed"] < kills:
        saves, inside = random.randint(1, MOST_SAVES), told["killed"] % 2 == 1
        life = Life(root, steps)
        if not life.reaches(lambda: life.saves(saves, inside)):  # noqa: B023 - it is waited for here
            break
        if not inside:
            time.sleep(random.uniform(0, AFTER))
        life.end()
        told["killed"] += 1
        told["inside"] += bool(life.half())
    print(json.dumps(told))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run([pretrain(1)], open_store(f"{sys.argv[1]}-warm"), InlineExecutor())  # what every life would load and measure anew
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
