"""One member of a gang whose neighbours share windows. Run by test_slices.py.

    python -m tests.infra.slices train|begin|go-on RANK SIZE SLICES FOLDER

FOLDER holds a root for every engine, with the token shards in it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import distributed

from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.mixtral import Mixtral
from pipeline.objectives.next_token import NextToken
from pipeline.storage import open_store
from pipeline.train.engine import Engines, Update
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.unit import Unit
from tests.infra.layouts import ENGINES, begin, go_on
from tests.train.meeting import leave, meeting
from tests.train.tiny import Lone, pretrain

STEPS, BATCH = 4, 4


@dataclass(frozen=True)
class Case:
    """A recipe, and the engines that are to train it in slices."""

    engines: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)


CASES = {
    "documents": Case(tuple(ENGINES)),
    "windows": Case(("plain", "zero-1"), {"attend": "window"}),
    "grouped queries": Case(("plain", "zero-1"), {"model": Llama(dim=32, depth=2, heads=4, key_value_heads=2, qk_norm=True)}),
    "one key-value head": Case(("plain", "zero-1"), {"model": Llama(dim=32, depth=2, heads=2, key_value_heads=1, tied=False)}),
    "learned positions": Case(("plain", "zero-1"), {"model": GPT2(dim=32, depth=2, heads=2)}),
    "experts": Case(("plain", "zero-3"), {"model": Mixtral(dim=32, depth=2, heads=2, experts=4, balance_weight=0.5, z_weight=0.1)}),
    "recomputed, z-term": Case(("plain", "zero-2"), {"recompute": True, "objective": NextToken(z_weight=1e-2)}),
    "bf16": Case(("plain", "zero-1"), {"update": Update(precision="bf16")}),
}


def recipe(case: Case, engines: Engines, workers: int) -> Pretrain:
    return pretrain(
        **{"batch": BATCH, "token_budget": STEPS * BATCH * 32, "micro_batch": 1, "engines": engines, "workers": workers, **case.fields}
    )


def in_slices(name: str, slices: int) -> Engines:
    """The engines of this name, whose neighbours share windows."""
    engines: Any = ENGINES[name]
    sliced: Engines = replace(engines, sequence_parallel=slices)
    return sliced


def train(root: Path, case: Case, engines: Engines, member: Lone) -> Pretrain:
    step = recipe(case, engines, member.size)
    step.train(Unit(open_store(str(root)), step.address, "train", 0), member)
    return step


def train_all(folder: Path, slices: int, member: Lone) -> None:
    for case in CASES.values():
        for name in case.engines:
            train(folder / name, case, in_slices(name, slices), member)


def every(act: Callable[[Path, Engines, Lone], None]) -> Callable[[Path, int, Lone], None]:
    def acted(folder: Path, slices: int, member: Lone) -> None:
        for name in ENGINES:
            act(folder / name, in_slices(name, slices), member)

    return acted


ACTS = {"train": train_all, "begin": every(begin), "go-on": every(go_on)}


def main(act: str, rank: int, size: int, slices: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    with meeting(folder / f"meeting-{act}-{size}-{slices}", rank, size):
        ACTS[act](folder, slices, Lone(rank, size))
        distributed.barrier()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    leave()
