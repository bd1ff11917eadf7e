"""One member of a gang that begins runs, or goes on with runs that gangs of other sizes began. Run by test_layouts.py.

    python -m tests.infra.layouts begin|go-on RANK SIZE FOLDER

FOLDER holds a root for every engine, with the token shards in it.
"""

import os
import sys
from pathlib import Path

import pytest
from torch import distributed

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.storage import open_store
from pipeline.train.engine import Engines
from pipeline.train.loop import Loop
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.unit import Unit
from tests.train.meeting import leave, meeting
from tests.train.tiny import Lone, pretrain

ENGINES: dict[str, Engines] = {"plain": PlainEngines()} | {f"zero-{stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}
ENGINES |= {f"zero-{stage}-cpu": DeepSpeedEngines(zero=stage, offload="cpu") for stage in (1, 2, 3)}
STEPS, SAVED, BATCH = 12, 5, 12
PLAIN_STEP = Loop._step


class PulledPlug(Exception):
    """What ends a run in the middle, in every member at once."""


def recipe(engines: Engines, workers: int) -> Pretrain:
    return pretrain(batch=BATCH, token_budget=STEPS * BATCH * 32, save_every=SAVED, micro_batch=2, engines=engines, workers=workers)


def begin(root: Path, engines: Engines, member: Lone) -> None:
    """Train until the plug is pulled in step 8: a checkpoint of five steps is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", lambda loop, done: PLAIN_STEP(loop, done) if done < 8 else _pull(loop))
        with pytest.raises(PulledPlug):
            train(root, engines, member)


def _pull(loop: Loop) -> None:
    loop.saves.finish()
    raise PulledPlug


def go_on(root: Path, engines: Engines, member: Lone) -> None:
    """Train from there to the end, and not from the start."""
    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", lambda loop, done: steps.append(done) or PLAIN_STEP(loop, done))
        train(root, engines, member)
    assert steps == list(range(SAVED + 1, STEPS + 1))


def train(root: Path, engines: Engines, member: Lone) -> None:
    step = recipe(engines, member.size)
    step.train(Unit(open_store(str(root)), step.address, "train", 0), member)


def main(act: str, rank: int, size: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    with meeting(folder / f"meeting-{act}-{size}", rank, size):
        for name, engines in ENGINES.items():
            {"begin": begin, "go-on": go_on}[act](folder / name, engines, Lone(rank, size))
        distributed.barrier()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    leave()
