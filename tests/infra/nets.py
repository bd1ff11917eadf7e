"""A network, its batches, and a training loop, all small: what engines are compared on. Needs torch."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.train.engine import Engine, Engines, Update
from pipeline.workflow.step import Member

VOCABULARY, WIDTH, ROWS, LENGTH = 64, 32, 4, 8
ACCUMULATION = 2
STEPS = 20


class Net(nn.Module):
    """Embeds, mixes a little, and predicts the next token: matrices, norms and biases."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.out = nn.Linear(2 * WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        logits = self.out(nn.functional.silu(self.up(self.norm(self.embed(tokens)))))
        return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def batch(step: int, micro: int, member: Member) -> tuple[Tensor, Tensor]:
    """A member's rows of a global micro-batch of ROWS rows, each of which counts up from somewhere; the same rows for any gang."""
    generator = torch.Generator().manual_seed(100 * step + micro + 1_000)
    rows = (torch.randint(0, VOCABULARY, (ROWS, 1), generator=generator) + torch.arange(LENGTH + 1)) % VOCABULARY
    mine = rows.chunk(member.size)[member.rank]
    return mine[:, :-1], mine[:, 1:]


def started(engines: Engines, update: Update, member: Member) -> Engine:
    return engines.start(net(), update, ACCUMULATION, member)


def train(engine: Engine, member: Member, first: int = 0, steps: int = STEPS) -> list[tuple[float, float]]:
    """(this member's mean loss, gradient norm) of each step from `first` on."""
    seen = []
    for step in range(first, steps):
        losses = []
        for micro in range(ACCUMULATION):
            loss = engine.loss(*(part.to(engine.device) for part in batch(step, micro, member)))
            engine.backward(loss)
            losses.append(loss.item())
        with torch.no_grad():  # as validation does; it must not disturb
            engine.loss(*(part.to(engine.device) for part in batch(-1, 0, member)))
        seen.append((sum(losses) / ACCUMULATION, engine.step(1e-2 * min(1.0, (step + 1) / 5))))
    return seen


def resumed(engines: Engines, update: Update, member: Member, folder: Path) -> Engine:
    engine = started(engines, update, member)
    engine.load(folder)
    return engine


def farthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The greatest difference between two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)
