"""A mixture of experts: each token through its own few networks, a router that is held to use them all, and transformers agrees."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.models.experts import Experts, Mixture
from pipeline.models.mixtral import Mixtral
from tests.models.fresh import CONTEXT, DOCUMENTS, LENGTHS, POSITIONS, VOCABULARY, drawn, opened, products_in, some_tokens, stirred, updated

RECIPES = {
    "two of four": Mixtral(dim=32, depth=2, heads=4, experts=4, active=2),
    "one of three, untied": Mixtral(dim=32, depth=1, heads=2, experts=3, active=1, tied=False),
    "many small ones": Mixtral(dim=48, depth=2, heads=6, key_value_heads=2, experts=24, active=5, hidden=8),
    "all": Mixtral(dim=32, depth=1, heads=4, experts=3, active=3, rope_theta=500.0),
}
each = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def logits_of(model: Any, tokens: Tensor, *places: Tensor) -> Tensor:
    return functional.linear(model.model(tokens, *places)[0], model.lm_head.weight)


@each
def test_an_exported_model_gives_equal_logits_in_transformers(recipe: Mixtral, tmp_path: Path) -> None:
    model, tokens = stirred(recipe), some_tokens(2, CONTEXT)
    theirs = opened(recipe, model, tmp_path)
    assert type(theirs).__name__ == "MixtralForCausalLM"
    assert theirs.config.max_position_embeddings == CONTEXT
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=40)
@given(tokens=st.integers(1, 12), experts=st.integers(1, 9), active=st.integers(1, 9), seed=st.integers(0, 99))
def test_tokens_brought_together_by_expert_are_as_if_each_passed_through_its_own(tokens: int, experts: int, active: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer, active = Experts(6, 4, experts).double(), min(active, experts)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    hidden, weights = torch.randn(tokens, 6).double(), torch.rand(tokens, active).double()
    chosen = torch.stack([torch.randperm(experts)[:active] for _ in range(tokens)])
    expected = torch.zeros_like(hidden)
    for token in range(tokens):
        for choice, weight in zip(chosen[token].tolist(), weights[token], strict=True):
            gate, up = (layer.gate_up_proj[choice] @ hidden[token]).chunk(2)
            expected[token] += weight * (layer.down_proj[choice] @ (functional.silu(gate) * up))
    found = layer(hidden, chosen, weights, chosen.flatten().bincount(minlength=experts))
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(made.square().sum(), list(layer.parameters())) for made in (found, expected)]
    for ours, plain in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, plain)


def test_the_balancing_term_of_a_window_is_that_of_transformers_for_each_choice() -> None:
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    torch.manual_seed(0)
    layer, hidden = Mixture(16, 8, 6, 3, 0.1, 0.1), torch.randn(1, 40, 16)
    layer(hidden)
    assert layer.routing is not None
    theirs = load_balancing_loss_func((layer.gate(hidden[0]),), 6, 3)
    torch.testing.assert_close(3 * layer.routing.balance, theirs)


def test_the_terms_of_windows_together_are_the_mean_of_each_windows() -> None:
    torch.manual_seed(0)
    layer, hidden = Mixture(16, 8, 6, 2, 1.0, 1.0), torch.randn(4, 10, 16)
    _, together = layer(hidden)
    torch.testing.assert_close(together, torch.stack([layer(window)[1] for window in hidden.split(1)]).mean())


@pytest.mark.parametrize(("favourites", "expected"), [(0.0, 1.0), (1e3, 3.0)])
def test_balance_is_one_for_equal_use_and_the_number_of_experts_for_the_use_of_one(favourites: float, expected: float) -> None:
    layer = Mixture(3, 8, 3, 1, 0.0, 0.0)
    with torch.no_grad():
        layer.gate.weight.copy_(torch.eye(3) if not favourites else torch.tensor([[favourites] * 3, [0.0] * 3, [0.0] * 3]))
    layer(torch.eye(3)[None])
    assert layer.routing is not None
    assert layer.routing.balance.item() == pytest.approx(expected)


def test_the_z_term_is_the_mean_square_of_the_log_sum_exp() -> None:
    torch.manual_seed(0)
    layer, hidden = Mixture(16, 8, 4, 2, 0.0, 1.0), torch.randn(2, 10, 16)
    _, term = layer(hidden)
    torch.testing.assert_close(term, layer.gate(hidden).exp().sum(dim=-1).log().square().mean())


@each
def test_the_loss_is_the_mean_cross_entropy_of_the_logits_whatever_the_terms_weigh(recipe: Mixtral) -> None:
    model, tokens, targets = stirred(replace(recipe, balance_weight=5.0, z_weight=5.0)), some_tokens(3, CONTEXT), some_tokens(3, CONTEXT)
    expected = functional.cross_entropy(logits_of(model, tokens).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model(tokens, targets), expected)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, targets), expected.detach())


def test_the_gradient_is_that_of_the_loss_and_the_terms_of_every_layer() -> None:
    recipe = replace(RECIPES["two of four"], balance_weight=0.3, z_weight=0.2)
    model, tokens = stirred(recipe), some_tokens(3, CONTEXT)
    weights = [layer.mlp.gate.weight for layer in model.model.layers]
    found = torch.autograd.grad(model(tokens, tokens), weights)
    hidden, terms = model.model(tokens)
    told = functional.cross_entropy(functional.linear(hidden, model.lm_head.weight).flatten(0, 1), tokens.flatten())
    alone = torch.autograd.grad(told, weights, retain_graph=True)
    for ours, wanted, short in zip(found, torch.autograd.grad(told + terms, weights), alone, strict=True):
        torch.testing.assert_close(ours, wanted)
        assert not torch.allclose(ours, short)


def test_a_router_that_favours_one_expert_learns_to_use_them_all() -> None:
    torch.manual_seed(0)
    layer, hidden = Mixture(16, 8, 4, 1, balance_weight=1.0, z_weight=0.0), torch.randn(4, 32, 16)
    hidden[..., 0] += 1.0
    with torch.no_grad():
        layer.gate.weight[0, 0] += 2.0
    optimizer, shares = torch.optim.SGD([layer.gate.weight], lr=0.3), []
    for _ in range(60):
        layer(hidden)[1].backward()
        assert layer.routing is not None
        shares.append((layer.routing.tokens_per_expert.max() / layer.routing.tokens_per_expert.sum()).item())
        optimizer.step()
        optimizer.zero_grad()
    assert shares[0] > 0.7
    assert shares[-1] < 0.35


def test_experts_that_no_token_was_sent_to_have_a_gradient_of_zeros() -> None:
    model = drawn(replace(RECIPES["many small ones"], active=1, balance_weight=0.0, z_weight=0.0))
    model(some_tokens(1, 4), some_tokens(1, 4)).backward()
    for layer, routing in zip(model.model.layers, model.routing, strict=True):
        used = routing.tokens_per_expert > 0
        assert 0 < used.sum() <= 4
        for weight in (layer.mlp.experts.gate_up_proj, layer.mlp.experts.down_proj):
            assert torch.equal(weight.grad.flatten(1).any(dim=1), used)


def test_the_routers_tell_what_they_did() -> None:
    recipe = RECIPES["many small ones"]
    model = drawn(recipe)
    assert model.routing == []
    model(some_tokens(2, CONTEXT), some_tokens(2, CONTEXT))
    assert len(model.routing) == recipe.depth
    for routing in model.routing:
        assert routing.tokens_per_expert.shape == (recipe.experts,)
        assert routing.tokens_per_expert.sum() == 2 * CONTEXT * recipe.active
        assert 0 < routing.entropy < math.log(recipe.experts)
        assert routing.dropped == 0
        assert not any(figure.requires_grad for figure in (routing.entropy, routing.balance, routing.z))


def test_a_token_does_not_see_what_comes_after_it() -> None:
    model, tokens = stirred(RECIPES["two of four"]), some_tokens(1, CONTEXT)
    changed = tokens.clone()
    changed[0, 10:] = (changed[0, 10:] + 1) % VOCABULARY
    torch.testing.assert_close(logits_of(model, tokens)[:, :10], logits_of(model, changed)[:, :10])


def test_documents_packed_into_a_window_are_as_if_each_were_alone() -> None:
    model, tokens = stirred(RECIPES["many small ones"]), some_tokens(1, CONTEXT)
    packed = logits_of(model, tokens, DOCUMENTS, POSITIONS)
    alone = [logits_of(model, part) for part in tokens.split(LENGTHS, dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1))


def test_the_loss_falls_and_the_weights_are_the_same_however_windows_are_shared_out() -> None:
    recipe = replace(RECIPES["two of four"], balance_weight=0.1, z_weight=0.01)
    losses, weights = updated(recipe, rows=4, steps=30)
    others, same = updated(recipe, rows=1, steps=30)
    assert losses[-1] < losses[0] - 1.0
    assert others == pytest.approx(losses, abs=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, atol=1e-5, rtol=0)


def test_the_router_computes_in_fp32_where_the_products_are_in_bf16() -> None:
    layer, hidden = Mixture(16, 8, 4, 2, 1.0, 1.0), torch.randn(2, 10, 16)
    _, plain = layer(hidden)
    with torch.autocast("cpu", torch.bfloat16):
        _, term = layer(hidden)
    assert torch.equal(term, plain)


@each
def test_the_stated_operations_are_those_of_the_matrix_products_that_tokens_pass_through(recipe: Mixtral) -> None:
    model, tokens = drawn(recipe), some_tokens(2, CONTEXT)
    products = products_in(model, (tokens, tokens))
    attention = 12 * recipe.depth * recipe.dim * CONTEXT
    assert products == (recipe.flops_per_token(VOCABULARY, CONTEXT) - attention) * tokens.numel()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"active": 9}, "model.active is 9, more than the 8 experts there are: use at most 8"),
        ({"active": 0}, "model.active is 0: use at least 1"),
        ({"experts": 0}, "model.experts is 0: use at least 1"),
        ({"heads": 5}, "model.heads is 5"),
        ({"heads": 4, "key_value_heads": 3}, "model.key_value_heads is 3, which cannot share 4 heads evenly"),
        ({"key_value_heads": 0}, "model.key_value_heads is 0: use at least 1"),
        ({"balance_weight": -0.1}, "model.balance_weight is -0.1: use 0"),
        ({"z_weight": math.nan}, "model.z_weight is nan: use 0"),
        ({"z_weight": math.inf}, "model.z_weight is inf: use 0"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Mixtral(**{"dim": 32, "depth": 2, "heads": 4, **fields})
