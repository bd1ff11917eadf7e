"""Muon: the paper's update of hidden matrices, AdamW's of all else, and a state that goes on in any gang."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.storage import open_store
from pipeline.train.checkpoint import METRICS, Checkpoint
from pipeline.train.engine import AdamW, Engine, Engines, Update
from pipeline.train.loop import Loop
from pipeline.train.muon import Muon
from pipeline.train.plain import PlainEngine, PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.train.together import hidden_matrices
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.train.meeting import meeting
from tests.train.tiny import Lone, pretrain

VOCABULARY, ROWS, CONTEXT, RATE = 50, 8, 16, 1e-2
UPDATE = Update(optimizer=Muon())
FAMILIES: Mapping[str, Architecture] = {
    "llama": Llama(dim=16, depth=2, heads=2, tied=False, qk_norm=True),
    "gpt2": GPT2(dim=16, depth=2, heads=2),
    "lstm": Lstm(dim=16, depth=2),
    "mixtral": Mixtral(dim=16, depth=1, heads=2),
    "bert": Bert(dim=16, depth=1, heads=2),
    "t5": T5(dim=16, depth=1, heads=2),
}
EDGES = ("embed_tokens", "wte", "wpe", "lm_head", "shared", "embeddings", "relative_attention_bias", "decoder.weight")
"""What the names of embeddings and heads hold."""


def orthogonal(matrix: Tensor) -> Tensor:
    """Five steps of Newton and Schulz, as the paper has them, in double precision."""
    turned = matrix.double().T if matrix.shape[0] > matrix.shape[1] else matrix.double()
    x = turned / turned.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(6, 6), (12, 5), (5, 12)])
def test_an_update_of_a_matrix_is_the_papers(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    recipe = Muon(momentum=0.9, weight_decay=0.3)
    optimizer = recipe.build(layer)
    weight, momentum = layer.weight.detach().double(), torch.zeros(shape, dtype=torch.float64)
    for _ in range(4):
        gradient = torch.randn(shape)
        momentum = 0.9 * momentum + 0.1 * gradient
        step = RATE * 0.2 * max(shape) ** 0.5 * orthogonal(0.9 * momentum + 0.1 * gradient)
        weight = weight * (1 - 0.3 * RATE) - step
        layer.weight.grad = gradient
        for group in optimizer.param_groups:
            group["lr"] = RATE
        optimizer.step()
        torch.testing.assert_close(layer.weight.detach().double(), weight, atol=0.05 * RATE, rtol=0)  # of bf16, in which it is reckoned


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_has_one_optimizer_and_hidden_matrices_alone_have_muon(family: str) -> None:
    model = FAMILIES[family].build(VOCABULARY, CONTEXT)
    hidden = set(map(id, hidden_matrices(model)))
    expected = [name for name, weight in model.named_parameters() if weight.dim() == 2 and not any(edge in name for edge in EDGES)]
    assert [name for name, weight in model.named_parameters() if id(weight) in hidden] == expected
    assert expected
    groups = UPDATE.optimizer.build(model).param_groups
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
    assert {id(weight) for group in groups if "momentum" in group for weight in group["params"]} == hidden


def model() -> nn.Module:
    torch.manual_seed(0)
    return FAMILIES["llama"].build(VOCABULARY, CONTEXT)


def trained(engine: Engine, steps: range, rank: int = 0, size: int = 1) -> list[float]:
    """The norm of each step of an engine that takes its share of the windows in two micro-batches."""
    norms = []
    for step in steps:
        drawn = torch.randint(VOCABULARY, (ROWS, CONTEXT + 1), generator=torch.Generator().manual_seed(step))
        for part in drawn.chunk(size)[rank].chunk(2):
            engine.backward(engine.loss(part[:, :-1], part[:, 1:]))
        norms.append(engine.step(RATE))
    return norms


def begun(steps: int, update: Update = UPDATE, engines: Engines | None = None) -> Engine:
    engine = (engines or PlainEngines()).start(model(), update, 2, Lone())
    trained(engine, range(steps))
    return engine


def differences(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, float]:
    assert one.keys() == other.keys()
    return {name: (one[name] - other[name]).abs().max().item() for name in one}


def test_what_is_no_hidden_matrix_moves_as_adamw_moves_it() -> None:
    rest = AdamW(weight_decay=0.2)
    muon, adamw = (begun(1, Update(optimizer=optimizer)).weights() for optimizer in (Muon(rest=rest), rest))
    moved = {name for name, gap in differences(muon, adamw).items() if gap}
    assert moved == {name for name in muon if name.endswith("_proj.weight")}


def test_what_was_saved_goes_on_bit_for_bit(tmp_path: Path) -> None:
    begun(3).save(tmp_path)
    engine = PlainEngines().start(model(), UPDATE, 2, Lone())
    engine.load(tmp_path)
    assert trained(engine, range(3, 6)) == trained(begun(3), range(3, 6))
    assert not any(differences(engine.weights(), begun(6).weights()).values())


def test_the_first_stage_of_deepspeed_does_the_same(tmp_path: Path) -> None:
    stage = begun(3, engines=DeepSpeedEngines(zero=0))
    assert max(differences(stage.weights(), begun(3).weights()).values()) < 1e-6
    stage.save(tmp_path)
    plain = PlainEngines().start(model(), UPDATE, 2, Lone())
    plain.load(tmp_path)
    trained(plain, range(3, 5))
    assert max(differences(plain.weights(), begun(5).weights()).values()) < 1e-4


@pytest.mark.parametrize("zero", [1, 2, 3])
def test_stages_that_share_weights_out_are_refused_before_the_start(zero: Any) -> None:
    with pytest.raises(
        RequestError, match=rf"^update\.optimizer is Muon, .* zero {zero} .*: use --compute\.zero 0 or --compute\.engine plain"
    ):
        pretrain(update=UPDATE, engines=DeepSpeedEngines(zero=zero))
    pretrain(engines=DeepSpeedEngines(zero=zero))


def _member(rank: int, size: int, folder: str) -> None:
    with meeting(Path(folder, "meeting"), rank, size):
        engine = PlainEngine(model(), UPDATE, 2, Lone(rank, size))
        engine.load(Path(folder))
        trained(engine, range(3, 6), rank, size)
        torch.save(engine.weights(), f"{folder}/{rank}.pt")


@pytest.mark.slow
def test_two_members_go_on_with_what_one_began(tmp_path: Path) -> None:
    begun(3).save(tmp_path)
    spawn(_member, (2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert not any(differences(first, second).values())
    assert max(differences(first, begun(6).weights()).values()) < 0.05 * RATE


class PulledPlug(Exception):
    """What ends a run in the middle."""


def made(step: Pretrain, root: Path) -> Checkpoint:
    run([step], store := open_store(str(root)), InlineExecutor())
    return open_artifact(store, step)


def losses(checkpoint: Checkpoint) -> list[float]:
    (entry,) = checkpoint.files(METRICS)
    return [json.loads(line)["loss"] for line in checkpoint.local(entry).read_text().splitlines()]


def test_a_run_that_was_broken_off_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain_step = pretrain(steps=20, update=UPDATE), Loop._step

    def pulled(loop: Loop, done: int) -> dict[str, Any]:
        if done == 13:
            raise PulledPlug
        return plain_step(loop, done)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", pulled)
        with pytest.raises(PulledPlug):
            made(step, tmp_path / "broken")
    again, whole = made(step, tmp_path / "broken"), made(step, tmp_path / "whole")
    assert losses(again) == losses(whole)
    assert losses(whole)[-1] < 0.6 * losses(whole)[0]
    weights = [(one.model / "model.safetensors").read_bytes() for one in (again, whole)]
    assert weights[0] == weights[1]


def test_an_optimizer_is_a_part_of_what_is_trained_and_the_usual_one_as_before() -> None:
    plain = pretrain()
    assert len({plain.address, pretrain(update=UPDATE).address, pretrain(update=Update(optimizer=Muon(momentum=0.9))).address}) == 3
    assert plain.recipe["update"] == {
        "class": "Update",
        "clip": 1,
        "optimizer": {"beta1": 0.9, "beta2": 0.95, "class": "AdamW", "epsilon": 1e-08, "weight_decay": 0.1},
        "precision": "fp32",
    }


@pytest.mark.parametrize(("field", "value"), [("momentum", 1.0), ("momentum", -0.1), ("weight_decay", float("nan"))])
def test_a_wrong_value_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(RequestError, match=rf"^update\.optimizer\.{field} is"):
        Muon(**{field: value})
