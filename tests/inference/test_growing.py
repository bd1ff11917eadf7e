"""Text that grows token by token is, at its end, what its tokens decode to; and what was shown of it is never taken back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pipeline.inference.growing import GrowingText

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
WORDS = ["▁", "▁The", "▁fox", "es", "<0xE4>", "<0xB8>", "<0x96>", "世", "</s>"]


def byte_level() -> Any:
    """Every byte is a token, and `</s>` is a special one."""
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(ALPHABET)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def with_word_marks() -> Any:
    """Words begin with a mark, of which the first of a text is left out; bytes stand for what is no word, as in Llama's."""
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(WORDS)}, []))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


BYTES, MARKED = byte_level(), with_word_marks()


def grown(tokenizer: Any, tokens: list[int], stops: tuple[str, ...] = (), before: tuple[int, ...] = ()) -> tuple[str, list[str]]:
    """The text, and the pieces that were shown of it."""
    text, shown = GrowingText(tokenizer, before, stops), []
    for token in tokens:
        text.add(token)
        shown.append(text.news(finished=False))
        if text.stopped:
            break
    text.finish()
    return text.text, [*shown, text.news(finished=True)]


@given(st.lists(st.integers(0, len(ALPHABET)), max_size=60))
def test_any_bytes_at_all_are_the_text_that_they_decode_to(tokens: list[int]) -> None:
    text, shown = grown(BYTES, tokens)
    assert text == BYTES.decode(tokens, skip_special_tokens=True) == "".join(shown)


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_a_text_is_cut_at_the_stop_that_is_complete_first(said: str, stops: list[str]) -> None:
    text, shown = grown(BYTES, BYTES(said)["input_ids"], tuple(stops))
    ends = [(said.find(stop) + len(stop), said.find(stop)) for stop in stops if stop in said]
    assert text == (said[: min(ends)[1]] if ends else said) == "".join(shown)


@given(st.text(max_size=30))
def test_no_part_of_a_character_is_shown(said: str) -> None:
    _, shown = grown(BYTES, BYTES(said)["input_ids"])
    assert "".join(shown[:-1]).count("\ufffd") == said.rstrip("\ufffd").count("\ufffd")


@given(st.lists(st.sampled_from([0, 1, 2, 3, 7, 8]), max_size=50), st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=20))
def test_a_word_keeps_the_space_between_it_and_the_prompt(tokens: list[int], prompt: list[int]) -> None:
    text, _ = grown(MARKED, tokens, before=tuple(prompt))
    assert MARKED.decode(prompt) + text == MARKED.decode([*prompt, *tokens], skip_special_tokens=True)


def test_a_character_in_bytes_is_shown_when_it_is_whole() -> None:
    tokens = [MARKED.convert_tokens_to_ids(token) for token in ("▁The", "<0xE4>", "<0xB8>", "<0x96>", "es")]
    assert grown(MARKED, tokens)[1] == ["The", "", "", "世", "es", ""]


@pytest.mark.parametrize("length", [10_000])
def test_a_long_text_costs_in_proportion_to_its_length(length: int) -> None:
    decoded = 0

    class Counting:
        def decode(self, tokens: list[int], **options: Any) -> str:
            nonlocal decoded
            decoded += len(tokens)
            return str(BYTES.decode(tokens, **options))

    grown(Counting(), BYTES("天地" * (length // 6))["input_ids"])
    assert decoded < 25 * length
