"""The plain engine: the oracle has to be right itself."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from pipeline.models.llama import Llama
from pipeline.train.engine import AdamW, Update
from pipeline.train.plain import PlainEngine, PlainEngines
from tests.train.meeting import meeting
from tests.train.tiny import Lone

VOCABULARY, ROWS, CONTEXT = 50, 8, 16
RATE = 1e-3


def model() -> nn.Module:
    torch.manual_seed(0)
    return Llama(dim=16, depth=2, heads=2).build(VOCABULARY, CONTEXT)


def windows(step: int) -> tuple[Tensor, Tensor]:
    drawn = torch.randint(VOCABULARY, (ROWS, CONTEXT + 1), generator=torch.Generator().manual_seed(step))
    return drawn[:, :-1], drawn[:, 1:]


def trained(steps: range, accumulation: int = 1, rank: int = 0, size: int = 1, update: Update | None = None) -> PlainEngine:
    engine = PlainEngine(model(), update or Update(), accumulation, Lone(rank, size))
    run(engine, steps)
    return engine


def run(engine: PlainEngine, steps: range) -> list[float]:
    norms = []
    for step in steps:
        for inputs, targets in zip(*(part.chunk(engine.member.size * engine.accumulation) for part in windows(step)), strict=True):
            engine.backward(engine.loss(inputs, targets))
        norms.append(engine.step(RATE))
    return norms


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=tolerance, rtol=0)


@pytest.mark.parametrize("accumulation", [2, 8])
def test_accumulated_micro_batches_are_one_batch(accumulation: int) -> None:
    assert_equal(trained(range(5), accumulation).weights(), trained(range(5)).weights(), 1e-5)


def test_it_does_what_a_bare_loop_does() -> None:
    bare, recipe = model(), AdamW()
    decayed = [{"params": [weight for weight in bare.parameters() if weight.dim() >= 2], "weight_decay": recipe.weight_decay}]
    groups = [*decayed, {"params": [weight for weight in bare.parameters() if weight.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon)
    for step in range(5):
        bare(*windows(step)).backward()
        nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    assert_equal(trained(range(5)).weights(), {name: weight.detach() for name, weight in bare.named_parameters()}, 1e-6)


def test_a_step_returns_the_norm_before_clipping_and_clips() -> None:
    clipped, free = (PlainEngine(model(), Update(clip=clip), 1, Lone()) for clip in (1e-9, 0))
    before, norms = clipped.weights(), [run(engine, range(1)) for engine in (clipped, free)]
    moved = [max((engine.weights()[name] - before[name]).abs().max().item() for name in before) for engine in (clipped, free)]
    assert norms[0] == norms[1] > [0.1]
    assert moved[0] < 0.5 * RATE < moved[1], "a gradient far below AdamW's epsilon moves no weight by the learning rate"


def test_what_was_saved_goes_on_bit_for_bit(tmp_path: Path) -> None:
    trained(range(3)).save(tmp_path)
    engine = PlainEngines().start(model(), Update(), 1, Lone())
    engine.load(tmp_path)
    assert isinstance(engine, PlainEngine)
    run(engine, range(3, 6))
    assert_equal(engine.weights(), trained(range(6)).weights(), 0)


def test_bf16_stays_near_fp32_and_keeps_its_weights_in_fp32() -> None:
    narrow = trained(range(5), update=Update(precision="bf16"))
    assert all(parameter.dtype == torch.float32 for parameter in narrow.model.parameters())
    inputs, targets = windows(9)
    assert narrow.loss(inputs, targets).item() == pytest.approx(trained(range(5)).loss(inputs, targets).item(), abs=0.05)


def _member(rank: int, size: int, folder: str) -> None:
    with meeting(Path(folder, "meeting"), rank, size):
        engine = PlainEngine(model(), Update(), 2, Lone(rank, size))
        for step in range(5):
            share = (part.chunk(size)[rank].chunk(2) for part in windows(step))
            for inputs, targets in zip(*share, strict=True):
                engine.backward(engine.loss(inputs, targets))
            engine.step(RATE)
        torch.save(engine.weights(), f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_two_members_train_as_one_does(tmp_path: Path) -> None:
    spawn(_member, (2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert_equal(first, second, 0)
    assert_equal(first, trained(range(5)).weights(), 1e-5)
