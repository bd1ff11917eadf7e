"""What every architecture promises: each file in pipeline/models that has one is found and tried here."""

import importlib
import math
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pipeline.models
from pipeline.models.base import Architecture
from pipeline.models.export import write_model
from pipeline.objectives.next_token import NextToken
from pipeline.workflow.fingerprint import canonical

for module in pkgutil.iter_modules(pipeline.models.__path__):
    importlib.import_module(f"pipeline.models.{module.name}")
ARCHITECTURES = sorted(Architecture.__subclasses__(), key=lambda kind: kind.__name__)
VOCABULARY, CONTEXT = 61, 16
each = pytest.mark.parametrize("kind", ARCHITECTURES)
each_causal = pytest.mark.parametrize("kind", [kind for kind in ARCHITECTURES if kind.learns is NextToken])
"""Those that predict from left to right. What others are called with is their objective's, and is tried in tests of their own."""


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def test_there_is_one() -> None:
    assert ARCHITECTURES


@each
def test_a_recipe_without_arguments_stands_and_has_a_canonical_form(kind: type[Architecture]) -> None:
    assert canonical(kind()) == canonical(kind())


@each
def test_its_recipe_is_read_without_torch(kind: type[Architecture]) -> None:
    program = f"import sys, {kind.__module__} as module; module.{kind.__name__}(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@each_causal
def test_its_loss_is_a_mean_in_nats_and_near_chance_before_training(kind: type[Architecture]) -> None:
    torch.manual_seed(0)
    loss = kind().build(VOCABULARY, CONTEXT)(tokens(4, CONTEXT), tokens(4, CONTEXT, seed=1))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(VOCABULARY), abs=0.5)


@each_causal
def test_every_weight_learns(kind: type[Architecture]) -> None:
    model = kind().build(VOCABULARY, CONTEXT)
    model(tokens(4, CONTEXT), tokens(4, CONTEXT)).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@each_causal
def test_attention_stays_inside_documents_where_they_are_given(kind: type[Architecture]) -> None:
    torch.manual_seed(0)
    model, inputs, targets = kind().build(VOCABULARY, CONTEXT), tokens(1, CONTEXT), tokens(1, CONTEXT)
    documents, positions = torch.tensor([[0] * 6 + [1] * 10]), torch.tensor([[*range(6), *range(10)]])
    packed = model(inputs, targets, documents, positions)
    alone = [model(inputs[:, part], targets[:, part]) for part in (slice(6), slice(6, CONTEXT))]
    torch.testing.assert_close(packed, (6 * alone[0] + 10 * alone[1]) / CONTEXT)


@each_causal
def test_transformers_opens_its_export_and_finds_the_same_loss(kind: type[Architecture], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model, inputs = kind().build(VOCABULARY, CONTEXT), tokens(2, CONTEXT)
    write_model(tmp_path, kind().export(model.state_dict(), VOCABULARY, CONTEXT), end_of_text=0)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False)(inputs, labels=inputs).loss
    torch.testing.assert_close(model(inputs[:, :-1], inputs[:, 1:]), theirs)


@each
def test_its_cost_grows_with_the_vocabulary_and_never_falls_with_the_context(kind: type[Architecture]) -> None:
    least = kind().flops_per_token(VOCABULARY, CONTEXT)
    assert 0 < least < kind().flops_per_token(2 * VOCABULARY, CONTEXT)
    assert least <= kind().flops_per_token(VOCABULARY, 64 * CONTEXT)


@each
def test_its_parameters_are_counted_as_they_are_built(kind: type[Architecture]) -> None:
    with torch.device("meta"):
        built = kind().build(VOCABULARY, CONTEXT)
    assert kind().parameter_count(VOCABULARY, CONTEXT) == sum(weight.numel() for weight in built.parameters())
