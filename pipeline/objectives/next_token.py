"""Predicting every token of a window from those before it."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pipeline.batches.packing import Batch
from pipeline.objectives.base import Attend, Objective, Place, Questions, apart
from pipeline.objectives.lexicon import Lexicon


@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Language modelling from left to right: what decoders and recurrent models learn."""

    def questions(self, lexicon: Lexicon, attend: Attend, seed: int) -> Questions:  # noqa: ARG002 - nothing is drawn or added
        return NextTokens(attend)


@dataclass(frozen=True)
class NextTokens:
    """Tokens, targets, and what keeps documents apart; each [rows, context]."""

    attend: Attend

    def inputs(self, batch: Batch, rows: slice, place: Place | None) -> list[NDArray[Any]]:  # noqa: ARG002 - nothing is drawn
        return [batch.tokens[rows, :-1], batch.tokens[rows, 1:], *apart(batch, rows, self.attend)]
