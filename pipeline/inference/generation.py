"""Text from a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import RequestError
from pipeline.inference.growing import GrowingText

if TYPE_CHECKING:
    from pipeline.inference.drawing import Row

Prompt = str | Sequence[int]
"""A text, which a token that begins texts is put before; or the tokens themselves, as they are."""
Ended = Literal["end", "stop", "length"]
"""Why a text ended: the model ended it, a stop was reached, or it was as long as it may be."""
Watch = Callable[[int, str], None]
"""Called at each step with the number of a text among all that are written, and what came to it."""
TOKENS_AT_ONCE = 1 << 14
"""Of all texts of a batch, prompts and all: their keys and values are held in memory."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How text is drawn."""

    max_new_tokens: int = 128
    """Greatest number of tokens that are drawn."""
    temperature: float = 0.8
    """Below 1 favours likely tokens; 0 always takes the likeliest."""
    top_k: int = 50
    """Draw from so many of the likeliest tokens; 0: from all."""
    top_p: float = 0.95
    """Draw from the likeliest tokens that together have this probability (nucleus sampling; Holtzman and others, 2020)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"max_new_tokens is {self.max_new_tokens}: draw at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise RequestError(f"temperature is {self.temperature}: use 0 (the likeliest token) or more")
        if self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k}: use 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top_p is {self.top_p}: use more than 0, and at most 1")


@dataclass(frozen=True)
class Written:
    """A text that was written after a prompt."""

    text: str
    """Without the prompt, without special tokens, and up to the stop, if there was one."""
    tokens: tuple[int, ...]
    """All that were drawn, but for one that ends a text."""
    ended: Ended


def generate(folder: Path, prompts: Sequence[str], sampling: Sampling, sequences: int = 1) -> list[list[str]]:
    """`sequences` continuations of each prompt, without the prompt, by the checkpoint in `folder`, as `write` writes them.

    Raises RequestError for a folder that is no checkpoint.
    """
    from pipeline.inference.opening import open_model, open_tokenizer

    model, tokenizer = open_model(folder), open_tokenizer(folder)
    return [[written.text for written in texts] for texts in write(model, tokenizer, prompts, sampling, sequences=sequences)]


def write(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    sequences: int = 1,
    stops: Sequence[str] = (),
    watch: Watch | None = None,
) -> list[list[Written]]:
    """`sequences` texts after each prompt, by an open model: a decoder goes on from the prompt, an encoder-decoder reads it and writes.

    A text ends where the model ends it, before the first of `stops`, or after `sampling.max_new_tokens`. It may grow longer than the
    model's context: it then goes on from its last half. `watch` is told of each text as it grows; texts are then written one by one.

    A text depends on its prompt, its number among the prompt's texts and the seed alone: not on the other prompts, nor on the
    randomness of torch, which is left alone. It holds as far as a model's logits do not depend on what else is in a batch, that is, up
    to their rounding: a likeliest token of two that are nearly as likely, or a drawn one whose chance falls on the border between two,
    may be the other one. Of 200 texts of a small model, written together and alone, all were the same in fp32; in bf16 all were at
    temperature 0, and half at 0.8.

    Raises RequestError for a prompt that is no text and for stops that are empty; RunError for a model that has no finite logits.
    """
    from pipeline.inference.drawing import draw

    if sequences < 1:
        raise RequestError(f"sequences is {sequences}: draw at least 1")
    if "" in stops:
        raise RequestError("a stop is empty: give the text before which to stop")
    rows = [_row(model, tokenizer, prompt, (sampling.seed, number), stops) for prompt in prompts for number in range(sequences)]
    ends, trained = ends_of(model, tokenizer), model.training
    model.eval()
    try:
        for number, batch in enumerate(_batches(rows, 1 if watch else len(rows), sampling)):
            for _ in draw(model, batch, sampling, ends):
                if watch:
                    watch(number, batch[0].text.news(finished=batch[0].ended is not None))
    finally:
        model.train(trained)
    written = [Written(row.text.text, tuple(row.drawn), row.ended or "length") for row in rows]
    return [written[start : start + sequences] for start in range(0, len(written), sequences)]


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: those that the model names, and the tokenizer's."""
    named = model.generation_config.eos_token_id
    return frozenset([*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id]) - {None}


def _row(model: Any, tokenizer: Any, prompt: Prompt, chance: tuple[int, int], stops: Sequence[str]) -> "Row":
    """A text before its first token, whose chances are those of its prompt, its number and the seed."""
    from pipeline.inference.drawing import Row

    ids = begun(model, tokenizer, prompt)
    random = Random(repr((*chance, ids)))  # noqa: S311 - no secret
    if model.config.is_encoder_decoder:
        return Row([model.config.decoder_start_token_id], GrowingText(tokenizer, (), stops), random, ids)
    return Row(ids, GrowingText(tokenizer, ids, stops), random)


def begun(model: Any, tokenizer: Any, prompt: Prompt) -> list[int]:
    """The tokens of a prompt, at least one: for a decoder, behind the token that texts begin with; for an encoder, with those that its
    tokenizer puts around a text, cut to what it takes from the left. Tokens are left as they are. Raises RequestError for no text."""
    from pipeline.inference.opening import beginning

    if not isinstance(prompt, str):
        return list(prompt) or [beginning(model)]
    try:
        prompt.encode()
    except UnicodeEncodeError as problem:
        raise RequestError(f"the prompt {prompt[:80]!r} is no Unicode text ({problem.reason}): give it in UTF-8") from problem
    reads = model.config.is_encoder_decoder
    ids: list[int] = tokenizer(prompt, add_special_tokens=reads, verbose=False)["input_ids"]
    if reads:
        return ids[-tokenizer.model_max_length :] or [beginning(model)]
    return ids if ids[:1] == [beginning(model)] else [beginning(model), *ids]


def _batches(rows: "Sequence[Row]", most: int, sampling: Sampling) -> "Iterator[list[Row]]":
    """Rows of like length together, as many as memory for them allows."""
    ordered = sorted(rows, key=lambda row: len(row.before) + len(row.read)) if most > 1 else rows
    batch: list[Row] = []
    for row in ordered:
        length = len(row.before) + len(row.read) + sampling.max_new_tokens
        if batch and (len(batch) == most or length * (len(batch) + 1) > TOKENS_AT_ONCE):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
