"""The LSTM: documents that begin anew, a folder that opens again, and text that is drawn from it, a state at a time."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.models.lstm import Lstm
from pipeline.models.lstm_checkpoint import LstmForCausalLM
from pipeline.models.lstm_network import Recurrence
from tests.models.fresh import CONTEXT, VOCABULARY, drawn, opened, some_tokens, stirred, updated

RECIPES = {
    "tied": Lstm(dim=32, depth=2),
    "wider than its embedding": Lstm(dim=24, depth=3, hidden=40, tied=False),
    "one layer that drops": Lstm(dim=32, depth=1, dropout=0.3),
}
each = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def logits_of(model: Any, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
    return functional.linear(model.eval().model(tokens, documents)[0], model.lm_head.weight)


@each
def test_an_exported_model_gives_equal_logits_when_it_is_opened_again(recipe: Lstm, tmp_path: Path) -> None:
    model, tokens = stirred(recipe), some_tokens(2, CONTEXT)
    theirs = opened(recipe, model, tmp_path)
    assert isinstance(theirs, LstmForCausalLM)
    assert theirs.config.max_position_embeddings == CONTEXT
    torch.testing.assert_close(logits_of(model, tokens), theirs(tokens).logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(LstmForCausalLM.from_pretrained(tmp_path)(tokens).logits, theirs(tokens).logits, atol=0, rtol=0)


def test_a_model_that_is_saved_by_transformers_opens_with_equal_logits(tmp_path: Path) -> None:
    first = opened(RECIPES["tied"], stirred(RECIPES["tied"]), tmp_path)
    first.save_pretrained(tmp_path / "again")
    again = LstmForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(first(some_tokens(1, CONTEXT)).logits, again(some_tokens(1, CONTEXT)).logits)


@pytest.mark.parametrize("recipe", [RECIPES["tied"], RECIPES["wider than its embedding"]])
def test_the_loss_is_the_mean_cross_entropy_of_the_logits(recipe: Lstm) -> None:
    model, tokens, targets = stirred(recipe), some_tokens(3, CONTEXT), some_tokens(3, CONTEXT, seed=2)
    expected = functional.cross_entropy(logits_of(model, tokens).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model(tokens, targets), expected)


def test_a_token_does_not_see_what_comes_after_it_and_does_see_what_came_long_before() -> None:
    model, tokens = stirred(RECIPES["tied"]), some_tokens(1, CONTEXT)
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % VOCABULARY
    same, other = logits_of(model, tokens), logits_of(model, changed)
    torch.testing.assert_close(same[:, :10], other[:, :10])
    assert (same[:, 10:] - other[:, 10:]).abs().amax(dim=-1).min() > 1e-6


@settings(deadline=None, max_examples=40)
@given(begins=st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=4), depth=st.integers(1, 3))
def test_documents_packed_into_windows_are_as_if_each_were_alone(begins: list[list[bool]], depth: int) -> None:
    torch.manual_seed(0)
    layers, tokens = Recurrence(VOCABULARY, 6, 5, depth, 0.0).double(), some_tokens(len(begins), 9)
    documents = torch.tensor(begins).cumsum(dim=1)
    hidden, (last, cells) = layers(tokens, documents)
    for row, numbers in enumerate(documents):
        lengths = numbers.unique_consecutive(return_counts=True)[1].tolist()
        alone = [layers(part) for part in tokens[row : row + 1].split(lengths, dim=1)]
        torch.testing.assert_close(hidden[row], torch.cat([part for part, _ in alone], dim=1)[0])
        torch.testing.assert_close((last[:, row], cells[:, row]), tuple(state[:, 0] for state in alone[-1][1]))


def test_documents_apart_give_the_gradients_that_each_gives_alone() -> None:
    torch.manual_seed(0)
    layers, tokens = Recurrence(VOCABULARY, 6, 5, 2, 0.0).double(), some_tokens(2, 10)
    documents = torch.tensor([[0] * 4 + [1] * 6, [0] * 7 + [1] * 3])
    parts = [tokens[:1, :4], tokens[:1, 4:], tokens[1:, :7], tokens[1:, 7:]]
    packed = torch.autograd.grad(layers(tokens, documents)[0].square().sum(), list(layers.parameters()))
    alone = torch.autograd.grad(sum(layers(part)[0].square().sum() for part in parts), list(layers.parameters()))
    for ours, wanted in zip(packed, alone, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_one_document_in_a_window_is_read_in_one_call() -> None:
    layers, tokens = Recurrence(VOCABULARY, 6, 5, 2, 0.0), some_tokens(3, 10)
    assert torch.equal(layers(tokens, torch.zeros_like(tokens))[0], layers(tokens)[0])


@pytest.mark.parametrize("beams", [1, 3])
def test_text_that_is_drawn_a_state_at_a_time_is_that_of_reading_all_again(beams: int, tmp_path: Path) -> None:
    model, tokens = opened(RECIPES["tied"], stirred(RECIPES["tied"]), tmp_path), some_tokens(2, 5)
    options = {"attention_mask": torch.ones_like(tokens), "max_new_tokens": 15, "do_sample": False, "num_beams": beams}
    assert torch.equal(model.generate(tokens, **options), model.generate(tokens, use_cache=False, **options))


def test_padding_before_a_text_changes_nothing_of_what_is_drawn(tmp_path: Path) -> None:
    model, tokens = opened(RECIPES["tied"], stirred(RECIPES["tied"]), tmp_path), some_tokens(1, 5)
    padded, mask = torch.cat((torch.zeros(1, 3, dtype=torch.int64), tokens), dim=1), torch.tensor([[0] * 3 + [1] * 5])
    alone = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=10, do_sample=False)
    assert torch.equal(model.generate(padded, attention_mask=mask, max_new_tokens=10, do_sample=False)[:, 3:], alone)


def test_what_is_dropped_is_drawn_by_the_tokens_and_not_by_what_was_drawn_before() -> None:
    model, tokens = stirred(RECIPES["one layer that drops"]), some_tokens(2, CONTEXT)
    torch.manual_seed(1)
    first, follows = model(tokens, tokens), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), follows), "and the caller's randomness is left alone"
    assert torch.equal(model(tokens, tokens), first)
    assert not torch.equal(model(tokens.flip(0), tokens.flip(0)), first)


def test_nothing_is_dropped_from_a_held_out_loss() -> None:
    model, tokens = stirred(RECIPES["one layer that drops"]), some_tokens(2, CONTEXT)
    trained = model(tokens, tokens).detach()
    with torch.no_grad():
        held_out = model(tokens, tokens)
    whole = functional.cross_entropy(logits_of(model, tokens).flatten(0, 1), tokens.flatten())
    torch.testing.assert_close(held_out, whole.detach())
    assert (trained - held_out).abs() > 1e-3


def test_the_loss_falls_and_the_weights_are_the_same_however_windows_are_shared_out() -> None:
    losses, weights = updated(RECIPES["tied"], rows=4, steps=30)
    others, same = updated(RECIPES["tied"], rows=1, steps=30)
    assert losses[-1] < losses[0] - 1.0
    assert others == pytest.approx(losses, abs=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, atol=1e-5, rtol=0)


@each
def test_the_stated_operations_are_six_for_every_weight_in_a_matrix_product(recipe: Lstm) -> None:
    model = drawn(recipe)
    matrices = sum(weight.numel() for weight in model.model.lstm.parameters() if weight.dim() == 2) + model.lm_head.weight.numel()
    assert recipe.flops_per_token(VOCABULARY, CONTEXT) == 6 * matrices


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"depth": 0}, "model.depth is 0: use at least 1"),
        ({"hidden": 0}, "model.hidden is 0: use at least 1"),
        (
            {"hidden": 48},
            "model.hidden is 48, which a head that shares the embedding of dim 32 cannot read: use the same width",
        ),
        ({"dropout": 1.0}, "model.dropout is 1.0: use a number from 0 up to"),
        ({"dropout": float("nan")}, "model.dropout is nan: use a number from 0 up to"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Lstm(**{"dim": 32, "depth": 2, **fields})
