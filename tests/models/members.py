"""One member of two: trains the named families with every engine, and says in a file what it saw. Run by test_engines.py."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.train.engine import Engine, Engines
from pipeline.train.gang import gather
from pipeline.train.plain import PlainEngines
from tests.models.fresh import CONTEXT, DOCUMENTS, POSITIONS, UPDATE, VOCABULARY, drawn
from tests.train.meeting import leave, meeting
from tests.train.tiny import Lone

FAMILIES: dict[str, Architecture] = {
    "gpt2": GPT2(dim=32, depth=2, heads=4),
    "mixture": Mixtral(dim=32, depth=2, heads=2, experts=48, active=1, hidden=16, balance_weight=0.1, z_weight=0.01),
    "lstm": Lstm(dim=32, depth=2),
}
"""A window of the mixture's has half as many tokens as it has experts, so that many have none, and others in each member."""
ENGINES: dict[str, Engines] = {"plain": PlainEngines()} | {f"zero {stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}
SIZE, STEPS, ACCUMULATION = 2, 6, 2


def batches(step: int, rank: int) -> Iterator[list[torch.Tensor]]:
    """A member's window of each micro-batch; of several documents in every second step, in which the other member's are of one."""
    for micro in range(ACCUMULATION):
        start = torch.randint(VOCABULARY, (1, 1), generator=torch.Generator().manual_seed(100 * step + 10 * micro + rank))
        window = (start + torch.arange(CONTEXT + 1)) % VOCABULARY
        yield [window[:, :-1], window[:, 1:], *([DOCUMENTS, POSITIONS] if (step + rank) % 2 else [])]


def train(engine: Engine, member: Lone, first: int, steps: int) -> list[tuple[float, float]]:
    """The mean of the gang's losses, and the gradient's norm, of each step."""
    seen = []
    for step in range(first, steps):
        losses = []
        for inputs in batches(step, member.rank):
            loss = engine.loss(*inputs)
            engine.backward(loss)
            losses.append(loss.item())
        with torch.no_grad():
            engine.loss(*next(batches(99, 0)))
        seen.append((sum(map(sum, gather(member, losses))) / SIZE / ACCUMULATION, engine.step(1e-2)))
    return seen


def seen(recipe: Architecture, engines: Engines, member: Lone, folder: Path) -> dict[str, Any]:
    """What came of training without a break, and whether going on from the middle gives the same."""
    engine = engines.start(drawn(recipe), UPDATE, ACCUMULATION, member)
    rows = train(engine, member, 0, STEPS // 2)
    engine.save(folder)
    distributed.barrier()
    rows += train(engine, member, STEPS // 2, STEPS)
    again = engines.start(drawn(recipe), UPDATE, ACCUMULATION, member)
    again.load(folder)
    same = train(again, member, STEPS // 2, STEPS) == rows[STEPS // 2 :]
    return {"rows": rows, "resumed": same, "weights": {name: weight.tolist() for name, weight in engine.weights().items()}}


def main(rank: int, folder: Path) -> None:
    member, found = Lone(rank, SIZE), {}
    with meeting(folder / "meeting", rank, SIZE):
        for family, recipe in FAMILIES.items():
            for engine, engines in ENGINES.items():
                place = folder / f"{family} {engine}"
                place.mkdir(exist_ok=True)
                found[f"{family} {engine}"] = seen(recipe, engines, member, place)
        (folder / f"{rank}.json").write_text(json.dumps(found))
        distributed.barrier()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
    leave()
