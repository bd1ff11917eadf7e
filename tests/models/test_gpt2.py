"""GPT-2 of our own: what it computes, and that transformers computes the same from its export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.models.gpt2 import GPT2
from tests.models.fresh import CONTEXT, DOCUMENTS, LENGTHS, POSITIONS, VOCABULARY, drawn, opened, products_in, some_tokens, stirred, updated

RECIPES = {
    "plain": GPT2(dim=32, depth=2, heads=4),
    "narrow inside": GPT2(dim=48, depth=1, heads=3, hidden=40),
    "other norm": GPT2(dim=32, depth=3, heads=2, norm_epsilon=1e-3),
}
each = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def logits_of(model: Any, tokens: Tensor, *places: Tensor) -> Tensor:
    return functional.linear(model.transformer(tokens, *places), model.lm_head.weight)


@each
def test_an_exported_model_gives_equal_logits_in_transformers(recipe: GPT2, tmp_path: Path) -> None:
    model, tokens = stirred(recipe), some_tokens(2, CONTEXT)
    theirs = opened(recipe, model, tmp_path)
    assert type(theirs).__name__ == "GPT2LMHeadModel"
    assert theirs.config.max_position_embeddings == CONTEXT
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)


def test_the_exported_model_drops_nothing_in_training_as_ours_does_not(tmp_path: Path) -> None:
    model, tokens = stirred(RECIPES["plain"]), some_tokens(2, CONTEXT)
    theirs = opened(RECIPES["plain"], model, tmp_path).train()
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)


@each
def test_the_loss_is_the_mean_cross_entropy_of_the_logits(recipe: GPT2) -> None:
    model, tokens, targets = stirred(recipe), some_tokens(3, CONTEXT), some_tokens(3, CONTEXT, seed=2)
    expected = functional.cross_entropy(logits_of(model, tokens).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model(tokens, targets), expected)


def test_a_token_does_not_see_what_comes_after_it() -> None:
    model, tokens = stirred(RECIPES["plain"]), some_tokens(1, CONTEXT)
    changed = tokens.clone()
    changed[0, 10:] = (changed[0, 10:] + 1) % VOCABULARY
    torch.testing.assert_close(logits_of(model, tokens)[:, :10], logits_of(model, changed)[:, :10])


def test_documents_packed_into_a_window_are_as_if_each_were_alone() -> None:
    model, tokens = stirred(RECIPES["narrow inside"]), some_tokens(1, CONTEXT)
    packed = logits_of(model, tokens, DOCUMENTS, POSITIONS)
    alone = [logits_of(model, part) for part in tokens.split(LENGTHS, dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1))


def test_a_place_in_the_window_is_known_from_others() -> None:
    model, tokens = stirred(RECIPES["plain"]), torch.full((1, CONTEXT), 5)
    assert logits_of(model, tokens)[0].diff(dim=0).abs().amax(dim=1).min() > 1e-3


def test_what_writes_to_the_residual_stream_begins_smaller_by_the_root_of_the_number_of_writers() -> None:
    model = drawn(GPT2(dim=128, depth=8, heads=4))
    layer = model.transformer.h[0]
    for others, writer in ((layer.attn.c_attn, layer.attn.c_proj), (layer.mlp.c_fc, layer.mlp.c_proj)):
        assert others.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert writer.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second, other = (drawn(RECIPES["plain"], seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["transformer.wte.weight"], other["transformer.wte.weight"])


def test_the_loss_falls_and_the_weights_are_the_same_however_windows_are_shared_out() -> None:
    losses, weights = updated(RECIPES["plain"], rows=4, steps=30)
    others, same = updated(RECIPES["plain"], rows=1, steps=30)
    assert losses[-1] < losses[0] - 1.0
    assert others == pytest.approx(losses, abs=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, atol=1e-5, rtol=0)


@each
def test_the_stated_operations_are_those_of_the_matrix_products(recipe: GPT2) -> None:
    model, tokens = drawn(recipe), some_tokens(2, CONTEXT)
    products = products_in(model, (tokens, tokens))
    attention = 12 * recipe.depth * recipe.dim * CONTEXT
    assert products == (recipe.flops_per_token(VOCABULARY, CONTEXT) - attention) * tokens.numel()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"heads": 5}, "model.heads is 5, which cannot share dim 32 evenly: use a divisor of dim"),
        ({"heads": 0}, "model.heads is 0: use at least 1"),
        ({"depth": 0}, "model.depth is 0: use at least 1"),
        ({"hidden": -3}, "model.hidden is -3: use at least 1"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, int], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        GPT2(**{"dim": 32, "depth": 2, "heads": 4, **fields})  # type: ignore[arg-type]
