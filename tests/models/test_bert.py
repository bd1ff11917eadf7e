"""An encoder of transformers' own modules: what it computes, and that transformers computes the same from its export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForMaskedLM

from pipeline.errors import RequestError
from pipeline.models.bert import Bert
from pipeline.models.export import write_model
from pipeline.objectives.masked_tokens import MaskedTokens
from tests.models.fresh import products_in

VOCABULARY, CONTEXT = 97, 24
RECIPE = Bert(dim=32, depth=2, heads=4)
PREDICTIONS = MaskedTokens().predictions(CONTEXT)


def drawn(seed: int = 0) -> Any:
    """A fresh model whose norms and biases are of a size that shows."""
    torch.manual_seed(seed)
    model = RECIPE.build(VOCABULARY, CONTEXT)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def some_tokens(*shape: int, seed: int = 1, below: int = VOCABULARY) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def some_questions(rows: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    places = torch.stack(
        [torch.randperm(CONTEXT, generator=torch.Generator().manual_seed(seed + row))[:PREDICTIONS].sort().values for row in range(rows)]
    )
    return some_tokens(rows, CONTEXT, seed=seed), places, some_tokens(rows, PREDICTIONS, seed=seed + 1)


def opened(model: torch.nn.Module, folder: Path) -> Any:
    write_model(folder, RECIPE.export(model.state_dict(), VOCABULARY, CONTEXT), end_of_text=0, ids={"pad_token_id": 3})
    theirs, told = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return theirs.eval()


def test_an_exported_model_gives_equal_logits_and_the_same_loss_in_transformers(tmp_path: Path) -> None:
    model, (tokens, places, targets) = drawn(), some_questions(3)
    theirs = opened(model, tmp_path)
    logits = theirs(tokens).logits
    torch.testing.assert_close(model.cls(model.bert(tokens).last_hidden_state), logits, atol=1e-5, rtol=0)
    labels = torch.full_like(tokens, -100).scatter(1, places, targets)
    torch.testing.assert_close(model(tokens, places, targets), theirs(tokens, labels=labels).loss, atol=1e-5, rtol=0)
    assert not (tmp_path / "generation_config.json").exists(), "it writes no text"


def test_it_sees_what_comes_after_a_hidden_token_and_what_comes_before() -> None:
    model, (tokens, _, _) = drawn(), some_questions(1)
    middle = model.bert(tokens).last_hidden_state[0, 10]
    for place in (2, 20):
        changed = tokens.clone()
        changed[0, place] = (changed[0, place] + 1) % VOCABULARY
        assert (model.bert(changed).last_hidden_state[0, 10] - middle).abs().max() > 1e-3


def test_documents_packed_into_a_window_are_as_if_each_were_alone() -> None:
    model, tokens = drawn(), some_tokens(1, CONTEXT)
    lengths = (7, 12, 5)
    documents = torch.tensor([[number for number, length in enumerate(lengths) for _ in range(length)]], dtype=torch.int32)
    positions = torch.tensor([[place for length in lengths for place in range(length)]], dtype=torch.int32)
    places, targets = torch.tensor([[1, 9, 20]]), some_tokens(1, 3)
    packed = model(tokens, places, targets, documents, positions)
    parts = zip(tokens.split(lengths, dim=1), ([1], [2], [1]), targets.T, strict=True)
    alone = [model(part, torch.tensor([place]), target[None]) for part, place, target in parts]
    torch.testing.assert_close(packed, torch.stack(alone).mean())


def test_any_division_of_a_batch_gives_the_same_gradients_whatever_each_window_has_to_predict() -> None:
    tokens, places, targets = some_questions(4)
    targets[1, 1:] = -100  # one prediction
    targets[2, :] = -100  # none
    gradients = []
    for rows in (4, 2, 1):
        model = drawn()
        for part in zip(tokens.split(rows), places.split(rows), targets.split(rows), strict=True):
            (model(*part) * rows / 4).backward()
        gradients.append([weight.grad for weight in model.parameters()])
    for other in gradients[1:]:
        for one, expected in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(one, expected, atol=1e-6, rtol=1e-4)


def test_a_window_with_less_to_predict_counts_as_much_as_any_other() -> None:
    model, (tokens, places, targets) = drawn(), some_questions(2)
    targets[1, 1:] = -100
    rows = [model(tokens[row : row + 1], places[row : row + 1], targets[row : row + 1]) for row in range(2)]
    torch.testing.assert_close(model(tokens, places, targets), torch.stack(rows).mean())
    logits = model.cls(model.bert(tokens[1:]).last_hidden_state)[0, places[1, 0]]
    torch.testing.assert_close(rows[1], functional.cross_entropy(logits[None], targets[1, :1]))


def test_every_weight_learns_and_a_fresh_model_knows_nothing_yet() -> None:
    torch.manual_seed(0)
    model = RECIPE.build(VOCABULARY, CONTEXT)
    loss = model(*some_questions(16))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(torch.tensor(VOCABULARY).log().item(), abs=0.3)
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_the_stated_operations_are_those_of_the_matrix_products() -> None:
    model, questions = drawn(), some_questions(2)
    products = products_in(model, questions)
    attention = 12 * RECIPE.depth * RECIPE.dim * CONTEXT
    assert products / questions[0].numel() == pytest.approx(RECIPE.flops_per_token(VOCABULARY, CONTEXT) - attention, abs=1)
    assert RECIPE.flops_for(MaskedTokens(share=0.5), VOCABULARY, CONTEXT) > RECIPE.flops_per_token(VOCABULARY, CONTEXT)


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"heads": 5}, r"model\.heads is 5"), ({"depth": 0}, r"model\.depth is 0"), ({"hidden": -1}, r"model\.inner is -1")],
)
def test_a_shape_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, int], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Bert(**{"dim": 32, "depth": 2, "heads": 4, **fields})
