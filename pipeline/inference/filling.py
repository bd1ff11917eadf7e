"""Gaps in texts, filled by a checkpoint that was trained to do that: by an encoder token by token, by an encoder-decoder span by span."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.inference.generation import Sampling, write
from pipeline.inference.opening import open_model, open_tokenizer
from pipeline.objectives.corrupted_spans import sentinel
from pipeline.objectives.masked_tokens import MASK

if TYPE_CHECKING:
    from torch import Tensor

ARROW = " → "
"""Between a text with gaps and the same text filled."""


def fill_masks(folder: Path, prompts: Sequence[str]) -> list[str]:
    """Behind an arrow, each prompt with the likeliest token in place of every <|mask|>, each by itself; one without has one at its end."""
    import torch

    model, tokenizer = open_model(folder, "AutoModelForMaskedLM"), open_tokenizer(folder)
    texts = []
    for prompt in prompts:
        tokens = _tokens(tokenizer, prompt if MASK in prompt else prompt + MASK).to(model.device)
        with torch.no_grad():
            likeliest = model(tokens).logits.argmax(dim=-1)
        filled = torch.where(tokens == tokenizer.mask_token_id, likeliest, tokens)
        texts.append(ARROW + tokenizer.decode(filled[0], skip_special_tokens=True))
    return texts


def fill_spans(folder: Path, prompts: Sequence[str], sampling: Sampling) -> list[str]:
    """Behind an arrow, each prompt with what is drawn in place of <extra_id_0>, <extra_id_1> and so on; one without has one at its end."""
    model, tokenizer = open_model(folder, "AutoModelForSeq2SeqLM"), open_tokenizer(folder)
    gapped = [prompt if sentinel(0) in prompt else prompt + sentinel(0) for prompt in prompts]
    written = write(model, tokenizer, gapped, sampling)
    spans = [tokenizer.decode(text.tokens, skip_special_tokens=False) for (text,) in written]
    return [ARROW + _filled(text, drawn, tokenizer) for text, drawn in zip(gapped, spans, strict=True)]


def _tokens(tokenizer: Any, text: str) -> "Tensor":
    """The tokens [1, T] of a text and its end, cut to the context from the left."""
    import torch

    return torch.tensor([tokenizer(text, verbose=False)["input_ids"][-tokenizer.model_max_length :]])


def _filled(gapped: str, written: str, tokenizer: Any) -> str:
    """A text with what is written behind each sentinel in its place; up to the next sentinel or the end."""
    number = 0
    while sentinel(number) in gapped:
        _, _, after = written.partition(sentinel(number))
        span = after.partition("<extra_id_")[0].partition(tokenizer.eos_token)[0]
        gapped = gapped.replace(sentinel(number), span)
        number += 1
    return gapped
