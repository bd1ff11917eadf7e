"""A driver that trains the tiny recipe on a running cluster, and says which step it is at. Arguments: ADDRESS ROOT WORKERS."""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infra.ray_cluster import cluster
from infra.ray_executor import RayExecutor
from pipeline.storage import open_store
from pipeline.train.engine import Engine, Update
from pipeline.train.plain import PlainEngine, PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.train.schedule import Schedule
from pipeline.workflow.events import Event, Reported
from pipeline.workflow.run import run
from pipeline.workflow.step import Member
from tests.train.tiny import pretrain

if TYPE_CHECKING:
    from torch import nn

STEPS, PAUSE_SECONDS = 300, 0.15
COURSE = {"schedule": Schedule(peak=1e-3), "save_every": 20}
"""At the tiny recipe's own peak, what another order of additions does to the losses grows tenfold in as many steps."""


@dataclass(frozen=True, kw_only=True)
class Unhurried(PlainEngines):
    """Plain engines that leave others the time to do something to them."""

    def start(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> Engine:
        engine = super().start(model, update, accumulation, member)
        engine.step = lambda rate: (time.sleep(PAUSE_SECONDS), PlainEngine.step(engine, rate))[1]  # type: ignore[method-assign, func-returns-value]
        return engine


def elastic(workers: int) -> Pretrain:
    """Trained by as many workers as that, or by any smaller number that shares its batch."""
    return pretrain(STEPS, engines=Unhurried(), workers=workers, least_workers=1, **COURSE)


def tell(event: Event) -> None:
    if isinstance(event, Reported):
        print(event.metrics["step"], flush=True)


def main(arguments: Sequence[str]) -> None:
    address, root, workers = arguments
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with cluster(address) as executor:
        assert isinstance(executor, RayExecutor)
        run([elastic(int(workers))], open_store(root), replace(executor, patience=4.0), [tell])


if __name__ == "__main__":
    main(sys.argv[1:])
