"""An encoder and a decoder of transformers' own modules: what they compute, and that transformers computes the same from their export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM

from pipeline.errors import RequestError
from pipeline.models.export import write_model
from pipeline.models.t5 import T5
from pipeline.objectives.corrupted_spans import CorruptedSpans
from tests.models.fresh import products_in

VOCABULARY, CONTEXT = 97, 48
RECIPE = T5(dim=32, depth=2, heads=4)
READ, WRITTEN = CorruptedSpans().lengths(CONTEXT)
PAD = 3


def drawn(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return RECIPE.build(VOCABULARY, CONTEXT)


def some_questions(rows: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    read = torch.randint(4, VOCABULARY, (rows, READ), generator=generator)
    written = torch.randint(4, VOCABULARY, (rows, WRITTEN), generator=generator)
    return read, torch.cat([torch.full((rows, 1), PAD), written[:, :-1]], dim=1), written


def opened(model: torch.nn.Module, folder: Path) -> Any:
    ids = {"pad_token_id": PAD, "decoder_start_token_id": PAD}
    write_model(folder, RECIPE.export(model.state_dict(), VOCABULARY, CONTEXT), end_of_text=0, ids=ids)
    theirs, told = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return theirs.eval()


def test_an_exported_model_gives_equal_logits_and_the_same_loss_in_transformers(tmp_path: Path) -> None:
    model, (read, given, written) = drawn(), some_questions(3)
    theirs = opened(model, tmp_path)
    found = theirs(input_ids=read, labels=written)
    hidden = model.decoder(given, encoder_hidden_states=model.encoder(read).last_hidden_state).last_hidden_state
    torch.testing.assert_close(hidden * model.scale @ model.shared.weight.T, found.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(model(read, given, written), found.loss, atol=1e-5, rtol=0)


def test_what_is_written_depends_on_all_that_is_read_and_on_nothing_written_later() -> None:
    model, (read, given, _) = drawn(), some_questions(1)
    states = model.decoder(given, encoder_hidden_states=model.encoder(read).last_hidden_state).last_hidden_state
    later, other = given.clone(), read.clone()
    later[0, 6:] = 5
    other[0, -1] = 5
    changed = model.decoder(later, encoder_hidden_states=model.encoder(read).last_hidden_state).last_hidden_state
    torch.testing.assert_close(changed[:, :6], states[:, :6])
    assert not torch.allclose(model.decoder(given, encoder_hidden_states=model.encoder(other).last_hidden_state).last_hidden_state, states)


def test_any_division_of_a_batch_gives_the_same_gradients() -> None:
    questions, gradients = some_questions(4), []
    for rows in (4, 2, 1):
        model = drawn()
        for part in zip(*(array.split(rows) for array in questions), strict=True):
            (model(*part) * rows / 4).backward()
        gradients.append([weight.grad for weight in model.parameters()])
    for other in gradients[1:]:
        for one, expected in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(one, expected, atol=1e-6, rtol=1e-4)


def test_every_weight_learns_and_a_fresh_model_knows_nothing_yet() -> None:
    model = drawn()
    loss = model(*some_questions(16))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(torch.tensor(VOCABULARY).log().item(), abs=0.5)
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_the_stated_operations_are_those_of_the_matrix_products() -> None:
    model, questions = drawn(), some_questions(2)
    products = products_in(model, questions)
    across = 12 * RECIPE.depth * RECIPE.dim * WRITTEN * READ / CONTEXT  # self-attention has biases that learn, and is plain products
    assert products / (2 * CONTEXT) == pytest.approx(RECIPE.flops_per_token(VOCABULARY, CONTEXT) - across, abs=1)


@pytest.mark.parametrize(
    ("fields", "named"), [({"heads": 5}, r"model\.heads is 5"), ({"depth": 0}, r"model\.depth is 0"), ({"hidden": 0}, r"model\.inner is 0")]
)
def test_a_shape_that_does_not_fit_is_refused_by_the_name_of_its_field(fields: dict[str, int], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        T5(**{"dim": 32, "depth": 2, "heads": 4, **fields})
