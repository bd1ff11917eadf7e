"""One member of a gang whose batches poison its model, run by test_watched.py.

    python -m tests.infra.watched RANK SIZE FOLDER WORDS

FOLDER holds a root for every engine and act, with the token shards in it. Each run is interrupted twice and goes on: in the
step of the first poisoned batch, and before a later one.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.storage import open_store
from pipeline.train.loop import Loop
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.train.watch import Watch
from pipeline.workflow.unit import Unit
from tests.train.meeting import leave, meeting
from tests.train.poisoned import Poisoned
from tests.train.tiny import Lone, pretrain

ENGINES: dict[str, Any] = {"plain": PlainEngines(), "zero-1": DeepSpeedEngines(zero=1), "zero-3": DeepSpeedEngines(zero=3)}
STEPS = 18
PLAIN_STEP = Loop._step
RUNS = {"undisturbed": ("skip", ()), "skip": ("skip", (7, 13)), "rewind": ("rewind", (7, 13))}


class PulledPlug(Exception):
    """What ends a run in the middle, in every member at once."""


def recipe(engine: str, act: Any, words: tuple[int, ...], workers: int) -> Pretrain:
    model = Poisoned(dim=32, depth=2, heads=2, words=words)
    return pretrain(STEPS, model=model, watch=Watch(act=act), engines=ENGINES[engine], workers=workers, micro_batch=1)


def train(root: Path, step: Pretrain, member: Lone, until: int = STEPS + 1) -> None:
    """Train to the end, or until the plug is pulled before a step."""

    def pulled(loop: Loop, done: int) -> dict[str, Any]:
        if done == until:
            raise PulledPlug
        return PLAIN_STEP(loop, done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", pulled)
        step.train(Unit(open_store(str(root)), step.address, "train", 0), member)


def main(rank: int, size: int, folder: Path, words: tuple[int, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    with meeting(folder / "meeting", rank, size):
        for engine in ENGINES:
            for name, (act, breaks) in RUNS.items():
                step, root = recipe(engine, act, words, size), folder / f"{engine}-{name}"
                for until in breaks:
                    with pytest.raises(PulledPlug):
                        train(root, step, Lone(rank, size), until)
                train(root, step, Lone(rank, size))
        distributed.barrier()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), tuple(json.loads(sys.argv[4])))
    leave()
