"""The z-term of the logits: in the gradient and in a column of its own, and not in the loss."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.objectives.next_token import NextToken
from pipeline.storage import open_store
from pipeline.train.checkpoint import METRICS, Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.train.z_loss import weigh_logits
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.train.tiny import pretrain

Build = Callable[[Any], Checkpoint]


def made(step: Pretrain, root: Path) -> Checkpoint:
    """What a step leaves in a root of its own."""
    run([step], store := open_store(str(root)), InlineExecutor())
    return open_artifact(store, step)


def rows(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    (entry,) = checkpoint.files(METRICS)
    return [json.loads(line) for line in checkpoint.local(entry).read_text().splitlines()]


def column(checkpoint: Checkpoint, name: str) -> list[float]:
    return [row[name] for row in rows(checkpoint)]


@pytest.mark.parametrize("model", [Llama(dim=32, depth=2, heads=2), GPT2(dim=32, depth=1, heads=2)])
def test_the_term_has_a_column_and_holds_the_logits_and_the_loss_stays_the_cross_entropy(build: Build, model: Architecture) -> None:
    heavy, light, none = (build(pretrain(steps=30, model=model, objective=NextToken(z_weight=weight))) for weight in (0.1, 1e-6, 0.0))
    assert rows(heavy)[0]["loss"] == rows(light)[0]["loss"] == rows(none)[0]["loss"]
    assert column(light, "loss") == pytest.approx(column(none, "loss"), abs=1e-2)
    assert not any("z_loss" in row for row in rows(none))
    held, free = (column(made, "z_loss") for made in (heavy, light))
    assert held[0] / 0.1 == pytest.approx(free[0] / 1e-6)
    assert free[0] / 1e-6 == pytest.approx(log(320) ** 2, rel=0.1), "all logits are near 0"
    assert held[-1] / 0.1 < 0.5 * free[-1] / 1e-6


@pytest.mark.parametrize("how", [{"micro_batch": 1}, {"engines": DeepSpeedEngines(zero=0)}, {"engines": DeepSpeedEngines(zero=2)}])
def test_the_term_is_the_same_however_the_batch_is_shared_out(tmp_path: Path, how: dict[str, Any]) -> None:
    step = pretrain(steps=6, objective=NextToken(z_weight=0.01), micro_batch=4)
    whole, shared = (made(one, tmp_path / root) for one, root in ((step, "whole"), (replace(step, **how), "shared")))
    for name in ("loss", "z_loss", "gradient_norm"):
        assert column(shared, name) == pytest.approx(column(whole, name), abs=2e-5)


def test_a_weight_of_nothing_is_no_part_of_what_is_trained_and_any_other_is() -> None:
    assert pretrain(objective=NextToken(z_weight=0.0)).address == pretrain().address
    assert pretrain(objective=NextToken(z_weight=1e-4)).address != pretrain().address


@pytest.mark.parametrize("weight", [-1e-4, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(RequestError, match=r"^objective\.z_weight is"):
        NextToken(z_weight=weight)


def test_a_model_without_logits_to_hold_is_refused() -> None:
    with pytest.raises(RequestError, match="the head of this model cannot be held to it"):
        weigh_logits(nn.Linear(2, 2), 0.1)
