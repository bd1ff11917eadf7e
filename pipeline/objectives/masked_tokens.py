"""Masked language modelling: some words of a window are hidden, and predicted from all the others."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.packing import Batch
from pipeline.errors import RequestError
from pipeline.objectives.base import Attend, Objective, Place, Questions, apart, first_row
from pipeline.objectives.draws import fractions, held_out_draws, in_order, training_draws
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.words import word_starts

MASK, PAD = "<|mask|>", "<|pad|>"
MASKED, REPLACED = 0.8, 0.1
"""Of the words that are predicted, these shares are masked and replaced by random tokens; the others stay as they are."""
NO_TARGET = -100
"""Fills up the targets of a window in which fewer tokens are predicted."""


@dataclass(frozen=True, kw_only=True)
class MaskedTokens(Objective):
    """The objective of BERT (Devlin and others, 2019, arXiv:1810.04805), with whole words masked.

    A word is hidden with all its tokens or not at all, and shares one fate: 80 % are masked, 10 % replaced by random tokens, and 10 % left
    as they are. What a word is does not depend on the tokenizer (`words.py`): letters and digits up to a space or a sign. Chinese has no
    spaces; there each character is a word, and so is a piece of several characters that the tokenizer made one token. A rare
    character that takes several tokens, a byte or two each, is hidden as a whole: its first bytes would give its last ones away.
    Words as a dictionary of Chinese has them (Cui and others, 2021, arXiv:1906.08101) would need a segmenter, and are not sought.

    In each window words are taken in random order while they fit into round(share · context) tokens. So nearly every window has just
    so many predictions; where only longer words are left it has fewer. Ends of texts are never hidden.
    """

    predicted: ClassVar[str] = "masked token"
    share: float = 0.15
    """Of a window's tokens, those that are predicted."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise RequestError(f"objective.share is {self.share}: use a fraction between 0 and 1, such as 0.15")

    def added(self, context: int) -> tuple[str, ...]:  # noqa: ARG002 - the same for any
        return (MASK, PAD)

    def roles(self) -> dict[str, str]:
        return {"mask_token": MASK, "pad_token": PAD}

    def model_ids(self, lexicon: Lexicon) -> dict[str, int]:
        return {"pad_token_id": lexicon.id_of(PAD)}

    def predictions(self, length: int) -> int:
        """Tokens that are predicted in a window of `length` tokens, at most."""
        return max(1, round(self.share * length))

    def questions(self, lexicon: Lexicon, attend: Attend, seed: int) -> Questions:
        hideable = np.isin(np.arange(lexicon.size), lexicon.ordinary)
        return HiddenWords(self, lexicon, attend, seed, lexicon.id_of(MASK), hideable)


@dataclass(frozen=True)
class HiddenWords:
    """Tokens with words hidden [rows, T]; the places that are predicted and their targets [rows, K]; and what keeps documents apart."""

    objective: MaskedTokens
    lexicon: Lexicon
    attend: Attend
    seed: int
    mask: int
    hideable: NDArray[np.bool_]
    """Whether each token is text, and no special token."""

    def inputs(self, batch: Batch, rows: slice, place: Place | None) -> list[NDArray[Any]]:
        tokens = batch.tokens[rows, :-1]
        starts = word_starts(tokens, batch.positions[rows] == 0, self.lexicon.spelling)
        count, length = tokens.shape
        budget = self.objective.predictions(length)
        shown, places = tokens.copy(), np.zeros((count, budget), np.int64)
        targets = np.full((count, budget), NO_TARGET, np.int64)
        for row in range(count):
            if place is None:
                draws = held_out_draws(tokens[row], 3 * length)
            else:
                draws = training_draws(self.seed, place, first_row(rows) + row, 3 * length)
            hidden = self._hide(shown[row], starts[row], budget, draws.reshape(3, length))
            places[row, : len(hidden)], targets[row, : len(hidden)] = hidden, tokens[row, hidden]
        return [shown, places, targets, *apart(batch, rows, self.attend)]

    def _hide(self, tokens: NDArray[np.int64], starts: NDArray[np.bool_], budget: int, draws: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Hide words of one row in place; returns the places of their tokens."""
        order_draws, fate_draws, token_draws = draws
        heads = np.flatnonzero(starts)
        lengths = np.diff(heads, append=len(tokens))
        order = in_order(order_draws[: len(heads)])
        order = order[self.hideable[tokens[heads[order]]]]
        words = np.zeros(len(heads), np.bool_)
        words[order[fitting(lengths[order], budget)]] = True
        fates = np.repeat(fractions(fate_draws[: len(heads)]), lengths)
        hidden = np.repeat(words, lengths)
        ordinary = self.lexicon.ordinary
        replaced = hidden & (fates >= MASKED) & (fates < MASKED + REPLACED)
        tokens[replaced] = ordinary[(token_draws[replaced] % np.uint64(len(ordinary))).astype(np.int64)]
        tokens[hidden & (fates < MASKED)] = self.mask
        return np.flatnonzero(hidden)


def fitting(lengths: NDArray[np.int64], budget: int) -> NDArray[np.bool_]:
    """Which things in an order are taken: each that still fits into what the ones before it left of the budget."""
    taken = np.cumsum(lengths) <= budget
    place, left = int(taken.sum()), budget - int(lengths[taken].sum())
    while left:
        more = np.flatnonzero(lengths[place:] <= left)
        if not len(more):
            break
        place += int(more[0])
        taken[place] = True
        left -= int(lengths[place])
        place += 1
    return taken
