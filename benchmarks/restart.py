"""How long a gang takes from the death of a worker to its next step, beside a fresh start; and how many steps are done again.

    python -m benchmarks.restart [--location FOLDER] [--workers 2] [--runs 3]

On a Ray of its own. A fresh start is from the beginning of the training step to the gang's first step. A worker is killed (SIGKILL)
once the gang is some steps past a checkpoint; the time after that ends with the first word of a step behind that checkpoint, which may
come two seconds late, since the gang speaks no more often.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.measuring import save
from benchmarks.train import recipe
from infra.ray_cluster import cluster
from pipeline.storage import open_store
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.events import Event, Reported, Started
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

STEPS, SAVE_EVERY, KILLED_AFTER = 400, 50, 130


@dataclass
class Killer:
    """Listens, and kills a worker once."""

    began: float = 0.0
    killed: float = 0.0
    fresh: float = 0.0
    again: float = 0.0
    reached: int = 0
    saved: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        now = time.perf_counter()
        if isinstance(event, Started) and isinstance(event.step, Pretrain):
            self.began = now
        elif isinstance(event, Reported):
            self._step(event.metrics["step"], now)

    def _step(self, step: int, now: float) -> None:
        if not self.fresh:
            self.fresh = now - self.began
        if self.killed and not self.saved and step < self.reached:  # it begins with the last step that was saved
            self.saved = step
        elif self.saved and not self.again:
            self.again = now - self.killed
        if not self.killed:
            self.reached = step
            if step >= KILLED_AFTER:
                self.killed = now
                os.kill(_last_worker(), signal.SIGKILL)


def _last_worker() -> int:
    """The youngest of the processes that train."""
    found = subprocess.run(["pgrep", "-n", "-f", "^ray::RayTrainWorker"], capture_output=True, text=True, check=True)
    return int(found.stdout)


def measured(location: str, workers: int) -> dict[str, Any]:
    """One run with one death."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as root:
        store, killer = open_store(root), Killer()
        step = replace(recipe(location, STEPS), workers=workers, save_every=SAVE_EVERY)
        run([part.tokens for part in step.mixture], store, InlineExecutor())
        with cluster("local", workers) as executor:
            run([step], store, executor, [killer])
    return {
        "fresh start, s": round(killer.fresh, 2),
        "after a death, s": round(killer.again, 2),
        "ratio": round(killer.again / killer.fresh, 2),
        "steps again": killer.reached - killer.saved,
        "between saves": SAVE_EVERY,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", default=f"{sysconfig.get_path('stdlib')}/asyncio", help="text to train on")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = [measured(options.location, options.workers) for _ in range(options.runs)]
    ratio = statistics.median(row["ratio"] for row in rows)
    save("restart", rows, workers=options.workers, median_ratio=ratio)


if __name__ == "__main__":
    main()
