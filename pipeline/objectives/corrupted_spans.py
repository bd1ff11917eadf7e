"""Span corruption: stretches of a window are cut out, and written down from what is left."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.packing import Batch
from pipeline.errors import RequestError
from pipeline.objectives.base import Attend, Objective, Place, Questions, first_row
from pipeline.objectives.draws import held_out_draws, in_order, training_draws
from pipeline.objectives.lexicon import Lexicon

PAD = "<|pad|>"


def sentinel(number: int) -> str:
    """The token that stands for the span of this number, from 0."""
    return f"<extra_id_{number}>"


@dataclass(frozen=True, kw_only=True)
class CorruptedSpans(Objective):
    """The objective of T5 (Raffel and others, 2020, arXiv:1910.10683, section 3.1.4).

    round(density · context) tokens are cut out, in as many spans as make their mean length `span`: the numbers are exact, so that
    every window gives inputs and targets of one length, and only the lengths of the single spans are drawn. A window begins with text
    and ends with a span, as in T5's own code. In the inputs a sentinel stands for each span; the targets are the spans, each after
    its sentinel. Both end with the end of a text. The decoder begins with padding.
    """

    predicted: ClassVar[str] = "target token"
    density: float = 0.15
    """Of a window's tokens, those that are cut out."""
    span: float = 3.0
    """Mean length of a span."""

    def __post_init__(self) -> None:
        if not 0 < self.density < 1:
            raise RequestError(f"objective.density is {self.density}: use a fraction between 0 and 1, such as 0.15")
        if self.span < 1:
            raise RequestError(f"objective.span is {self.span}: spans have at least 1 token on average")

    def check(self, attend: Attend, context: int) -> None:
        if attend == "document":
            raise RequestError(
                "attend is 'document', and CorruptedSpans cuts spans from windows whatever documents they hold, as T5 does: use window"
            )
        if context < 2:
            raise RequestError(f"context is {context}, of which nothing is left when a span is cut out: use at least 2")

    def added(self, context: int) -> tuple[str, ...]:
        return (PAD, *(sentinel(number) for number in range(self.cut(context)[1])))

    def roles(self) -> dict[str, str]:
        return {"pad_token": PAD}

    def model_ids(self, lexicon: Lexicon) -> dict[str, int]:
        return {"pad_token_id": lexicon.id_of(PAD), "decoder_start_token_id": lexicon.id_of(PAD)}

    def cut(self, length: int) -> tuple[int, int]:
        """The tokens that are cut out of a window of `length` tokens (at least 2), and the spans."""
        noise = min(max(1, round(self.density * length)), length - 1)
        return noise, max(1, min(round(noise / self.span), length - noise))

    def lengths(self, length: int) -> tuple[int, int]:
        """The tokens of the inputs and of the targets for a window of `length` tokens."""
        noise, spans = self.cut(length)
        return length - noise + spans + 1, noise + spans + 1

    def questions(self, lexicon: Lexicon, attend: Attend, seed: int) -> Questions:  # noqa: ARG002 - always the window
        return CutSpans(self, lexicon, seed, lexicon.id_of(PAD))


@dataclass(frozen=True)
class CutSpans:
    """Inputs of the encoder [rows, S]; inputs and targets of the decoder [rows, T]."""

    objective: CorruptedSpans
    lexicon: Lexicon
    seed: int
    pad: int

    def inputs(self, batch: Batch, rows: slice, place: Place | None) -> list[NDArray[Any]]:
        tokens = batch.tokens[rows, :-1]
        count, length = tokens.shape
        noise, spans = self.objective.cut(length)
        sentinels = np.array([self.lexicon.id_of(sentinel(number)) for number in range(spans)])
        read_length, written_length = self.objective.lengths(length)
        read = np.full((count, read_length), self.lexicon.end_of_text)
        written = np.full((count, written_length), self.lexicon.end_of_text)
        for row in range(count):
            if place is None:
                draws = held_out_draws(tokens[row], length)
            else:
                draws = training_draws(self.seed, place, first_row(rows) + row, length)
            clear_lengths = parts(length - noise, spans, draws[noise:])
            noise_lengths = parts(noise, spans, draws[:noise])
            cut = np.repeat(np.arange(2 * spans) % 2 == 1, np.column_stack([clear_lengths, noise_lengths]).ravel())
            read[row, :-1] = np.insert(tokens[row, ~cut], np.cumsum(clear_lengths), sentinels)
            written[row, :-1] = np.insert(tokens[row, cut], np.cumsum(noise_lengths) - noise_lengths, sentinels)
        given = np.concatenate([np.full((count, 1), self.pad), written[:, :-1]], axis=1)
        return [read, given, written]


def parts(total: int, count: int, draws: NDArray[np.uint64]) -> NDArray[np.int64]:
    """`total` as a sum of `count` numbers from 1 on; each way is as likely as any other."""
    cuts = np.sort(in_order(draws[: total - 1])[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
