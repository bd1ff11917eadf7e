"""Texts that are packed into windows."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from pipeline.finetune.packing import BY_POSITIONS, best_fit, can_pack, joined, logits_of, places

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


@given(st.lists(st.integers(1, 20), max_size=60), st.integers(20, 40))
def test_every_text_is_in_one_window_that_holds_it(lengths: list[int], room: int) -> None:
    groups = best_fit(lengths, room)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in group) <= room for group in groups)
    assert sum(sum(lengths[number] for number in group) * 2 <= room for group in groups) <= 1, "two that are half empty would be one"


def test_texts_are_numbered_from_one_and_their_places_begin_anew() -> None:
    window = joined([{"input_ids": [7, 8, 9], "documents": [1, 1, 1]}, {"input_ids": [5, 6], "documents": [1, 1]}])
    assert window == {"input_ids": [7, 8, 9, 5, 6], "documents": [1, 1, 1, 2, 2]}
    assert places(torch.tensor([[1, 1, 1, 2, 2, 0, 0]])).tolist() == [[0, 1, 2, 0, 1, 0, 1]]


@pytest.mark.parametrize("family", sorted(BY_POSITIONS))
def test_a_family_reads_packed_texts_as_if_they_stood_alone(family: str) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES)
    model = AutoModelForCausalLM.from_config(config).eval()
    _reads_texts_alone(model)


def test_a_family_that_is_not_known_to_do_so_is_not_packed() -> None:
    assert not can_pack("bloom")
    assert not can_pack("opt")


def _reads_texts_alone(model: Any) -> None:
    texts = [torch.randint(1, 50, (length,)) for length in (5, 9, 3, 12, 7)]
    ids = torch.stack(
        [torch.cat([*texts[:3], torch.zeros(4, dtype=torch.long)]), torch.cat([*texts[3:], torch.zeros(2, dtype=torch.long)])]
    )
    documents = torch.tensor([[1] * 5 + [2] * 9 + [3] * 3 + [0] * 4, [1] * 12 + [2] * 7 + [0] * 2])
    with torch.no_grad():
        together = logits_of(model, ids, documents)
        found = [*together[0].split([5, 9, 3, 4])[:3], *together[1].split([12, 7, 2])[:2]]
        for text, logits in zip(texts, found, strict=True):
            torch.testing.assert_close(logits, model(input_ids=text[None]).logits[0], atol=1e-5, rtol=1e-4)
