"""Models that fill gaps under DeepSpeed: their tied weights are one at every stage of ZeRO, as in plain PyTorch."""

from pathlib import Path
from typing import Any

import pytest
import torch

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.models.bert import Bert
from pipeline.models.t5 import T5
from pipeline.objectives.base import Place
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.train.engine import Engines, Update
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import Alone
from tests.objectives.texts import lexicon_of, windows

CONTEXT, STEPS = 32, 3
KINDS: dict[str, Any] = {
    "encoder": (Bert(dim=32, depth=1, heads=2), MaskedTokens()),
    "encoder-decoder": (T5(dim=32, depth=1, heads=2), CorruptedSpans()),
}


def trained(kind: str, engines: Engines, tokenizer_json: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses of a few steps of two micro-batches, and the weights after them."""
    model, objective = KINDS[kind]
    lexicon = lexicon_of(tokenizer_json, objective, CONTEXT)
    questions, batch = objective.questions(lexicon, "window", 0), windows(lexicon, 4, CONTEXT)
    torch.manual_seed(0)
    engine, losses = engines.start(model.build(lexicon.size, CONTEXT), Update(), 2, Alone(lambda metrics: None)), []
    for step in range(STEPS):
        for start in (0, 2):
            inputs = questions.inputs(batch, slice(start, start + 2), Place(step, 0))
            loss = engine.loss(*(torch.from_numpy(array) for array in inputs))
            engine.backward(loss)
            losses.append(loss.item())
        engine.step(3e-3)
    return losses, engine.weights()


@pytest.mark.parametrize("zero", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_gives_the_losses_and_weights_of_plain_pytorch(kind: str, zero: Any, tokenizer_json: Path) -> None:
    losses, weights = trained(kind, PlainEngines(), tokenizer_json)
    found, sharded = trained(kind, DeepSpeedEngines(zero=zero), tokenizer_json)
    assert found == pytest.approx(losses, abs=1e-5)
    assert losses[-1] < losses[0]
    assert sharded.keys() == weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(sharded[name], weight, atol=1e-4, rtol=0)
