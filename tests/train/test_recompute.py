"""Activations that are computed once more give the same gradients, and take less memory."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.models.lstm import Lstm
from pipeline.storage import open_store
from pipeline.train.checkpoint import MODEL, Checkpoint
from pipeline.train.estimate import memory_of
from pipeline.train.recompute import recompute_layers
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.models.test_counting import CONTEXT, RECIPES, VOCABULARY, kept_bytes, questions
from tests.train.tiny import pretrain, weights_of

Build = Callable[[Any], Checkpoint]
LAYERED = {name: recipe for name, recipe in RECIPES.items() if recipe.layered}
each = pytest.mark.parametrize("recipe", LAYERED.values(), ids=LAYERED)


@each
def test_gradients_are_the_same_bit_for_bit(recipe: Architecture) -> None:
    model, inputs = recipe.build(VOCABULARY, CONTEXT), questions(recipe, 2)
    again = copy.deepcopy(model)
    recompute_layers(again)
    model(*inputs).backward()
    again(*inputs).backward()
    for (name, weight), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert weight.grad is not None, name
        assert other.grad is not None, name
        assert weight.grad.equal(other.grad), name


@each
def test_a_pass_keeps_the_input_of_each_layer_alone(recipe: Architecture) -> None:
    model = recipe.build(VOCABULARY, CONTEXT)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    whole = kept_bytes(model, questions(recipe, 4), torch.float32, own)
    recompute_layers(model)
    assert kept_bytes(model, questions(recipe, 4), torch.float32, own) < whole / 2


def test_a_run_ends_in_the_same_weights(build: Build, tmp_path_factory: pytest.TempPathFactory) -> None:
    kept, store = build(pretrain(6)), open_store(str(tmp_path_factory.mktemp("again")))
    step = pretrain(6, recompute=True)
    assert step.address == pretrain(6).address
    run([step], store, InlineExecutor())
    assert weights_of(open_artifact(store, step).folder(MODEL)) == weights_of(kept.folder(MODEL))


def test_the_estimate_of_deep_models_says_what_is_saved() -> None:
    kept, again = (memory_of(pretrain(6, model=RECIPES["Llama"], recompute=answer), VOCABULARY) for answer in (False, True))
    assert again.activations < kept.activations / 2
    assert again.states == kept.states


def test_a_model_without_layers_of_its_own_refuses() -> None:
    with pytest.raises(RequestError, match="recompute is true, and a Lstm has no layers"):
        pretrain(6, model=Lstm(dim=16), recompute=True)
