"""One member of a gang that fine-tunes, and has its plug pulled in the middle. Run by test_stepwise.py.

    python -m tests.finetune.members RANK SIZE FOLDER CHECKPOINT EXAMPLES

FOLDER/root has the inputs of the fine-tuning.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.finetune.finetune import Finetune
from pipeline.finetune.loop import FinetuneLoop
from pipeline.storage import open_store
from pipeline.workflow.unit import Unit
from tests.finetune.recipes import finetune
from tests.train.meeting import leave, meeting
from tests.train.tiny import Lone

SAVED, PULLED = 10, 14
PLAIN_STEP = FinetuneLoop._step


class PulledPlug(Exception):
    """What ends a run in the middle, in every member at once."""


def elastic(checkpoint: Path, examples: Path, workers: int) -> Finetune:
    """Done by as many workers as that, or by fewer."""
    return finetune(checkpoint, examples, epochs=2, save_every=SAVED, look_every=8, micro_batch=4, workers=workers, least_workers=1)


def pulled(loop: FinetuneLoop, done: int) -> dict[str, Any]:
    if done == PULLED:
        loop.saves.finish()
        raise PulledPlug
    return PLAIN_STEP(loop, done)


def main(rank: int, size: int, folder: Path, checkpoint: Path, examples: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    step = elastic(checkpoint, examples, size)
    with meeting(folder / "meeting", rank, size), pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinetuneLoop, "_step", pulled)
        with pytest.raises(PulledPlug):
            step.learn(Unit(open_store(str(folder / "root")), step.address, "learn", 0), Lone(rank, size))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
    leave()
