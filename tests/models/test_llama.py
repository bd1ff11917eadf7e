"""A decoder of our own: what it computes, and that transformers computes the same from its export."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from pipeline.errors import RequestError
from pipeline.models.export import write_model
from pipeline.models.llama import Llama
from pipeline.workflow.fingerprint import canonical
from tests.models.fresh import opened, products_in, stirred

VOCABULARY, CONTEXT = 97, 24
RECIPES = {
    "tied": Llama(dim=32, depth=2, heads=4),
    "untied": Llama(dim=32, depth=2, heads=2, tied=False),
    "grouped queries": Llama(dim=48, depth=1, heads=6, key_value_heads=2, hidden=80),
    "other rotation": Llama(dim=32, depth=2, heads=4, rope_theta=500.0, norm_epsilon=1e-3),
    "normed queries and keys": Llama(dim=48, depth=2, heads=6, key_value_heads=2, qk_norm=True),
}


def drawn(recipe: Llama, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return recipe.build(VOCABULARY, CONTEXT)


def some_tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def logits_of(model: Any, tokens: Tensor, *places: Tensor) -> Tensor:
    return functional.linear(model.model(tokens, *places), model.lm_head.weight)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_exported_model_gives_equal_logits_in_transformers(recipe: Llama, tmp_path: Path) -> None:
    model, tokens = drawn(recipe), some_tokens(2, CONTEXT)
    write_model(tmp_path, recipe.export(model.state_dict(), VOCABULARY, CONTEXT), end_of_text=0)
    theirs, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values()), "every tensor of the file is one of the model's, and the other way round"
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)
    assert theirs.config.max_position_embeddings == CONTEXT


def test_normed_queries_and_keys_are_those_of_qwen3_whatever_the_norms_learned(tmp_path: Path) -> None:
    recipe, tokens = RECIPES["normed queries and keys"], some_tokens(2, CONTEXT)
    model = stirred(recipe)
    theirs = opened(recipe, model, tmp_path)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)


def test_normed_queries_and_keys_do_not_grow_with_their_weights() -> None:
    model, tokens = drawn(replace(RECIPES["normed queries and keys"], norm_epsilon=1e-12)), some_tokens(2, CONTEXT)
    before = logits_of(model, tokens)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                weight.mul_(50)
    torch.testing.assert_close(logits_of(model, tokens), before, atol=1e-5, rtol=0)


def test_queries_and_keys_are_normed_in_fp32_and_go_on_in_the_precision_of_the_products() -> None:
    model, tokens = stirred(RECIPES["normed queries and keys"]), some_tokens(2, CONTEXT)
    exact = model(tokens, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.model.layers[0].self_attn.q_norm(torch.ones(1, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
        torch.testing.assert_close(model(tokens, tokens), exact, rtol=0.02, atol=0)


def test_a_model_without_norms_of_queries_and_keys_is_what_it_was() -> None:
    assert canonical(Llama(qk_norm=False)) == canonical(Llama())
    assert "qk_norm" not in canonical(Llama())  # type: ignore[operator]
    assert not [name for name in drawn(RECIPES["tied"]).state_dict() if "q_norm" in name or "k_norm" in name]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_loss_is_the_mean_cross_entropy_of_the_logits(recipe: Llama) -> None:
    model, tokens, targets = drawn(recipe), some_tokens(3, CONTEXT), some_tokens(3, CONTEXT, seed=2)
    expected = functional.cross_entropy(logits_of(model, tokens).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model(tokens, targets), expected)


def test_a_token_does_not_see_what_comes_after_it() -> None:
    model, tokens = drawn(RECIPES["tied"]), some_tokens(1, CONTEXT)
    changed = tokens.clone()
    changed[0, 10:] = (changed[0, 10:] + 1) % VOCABULARY
    torch.testing.assert_close(logits_of(model, tokens)[:, :10], logits_of(model, changed)[:, :10])


def test_documents_packed_into_a_window_are_as_if_each_were_alone() -> None:
    model, tokens = drawn(RECIPES["grouped queries"]), some_tokens(1, CONTEXT)
    documents = torch.tensor([[0] * 7 + [1] * 12 + [2] * 5])
    positions = torch.tensor([[*range(7), *range(12), *range(5)]])
    packed = logits_of(model, tokens, documents, positions)
    alone = [logits_of(model, part) for part in tokens.split([7, 12, 5], dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1))


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second, other = (drawn(RECIPES["tied"], seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_a_fresh_model_knows_nothing_yet() -> None:
    loss = drawn(RECIPES["tied"])(some_tokens(8, CONTEXT), some_tokens(8, CONTEXT, seed=2))
    assert loss.item() == pytest.approx(torch.tensor(VOCABULARY).log().item(), abs=0.3)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_stated_operations_are_those_of_the_matrix_products(recipe: Llama) -> None:
    model, tokens = drawn(recipe), some_tokens(2, CONTEXT)
    products = products_in(model, (tokens, tokens))
    attention = 12 * recipe.depth * recipe.dim * CONTEXT
    assert products == (recipe.flops_per_token(VOCABULARY, CONTEXT) - attention) * tokens.numel()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"heads": 5}, "model.heads is 5"),
        ({"heads": 32}, "model.heads is 32"),
        ({"heads": 4, "key_value_heads": 3}, "model.key_value_heads is 3"),
        ({"depth": 0}, "model.depth is 0"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, int], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Llama(**{"dim": 32, "depth": 2, "heads": 4, **fields})
