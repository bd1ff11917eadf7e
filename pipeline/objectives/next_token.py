"""Predicting every token of a window from those before it."""

from dataclasses import dataclass
from math import inf
from typing import Any

from numpy.typing import NDArray

from pipeline.batches.packing import Batch
from pipeline.errors import RequestError
from pipeline.objectives.base import Attend, Objective, Place, Questions, apart
from pipeline.objectives.lexicon import Lexicon
from pipeline.workflow.fingerprint import later


@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Language modelling from left to right: what decoders and recurrent models learn."""

    z_weight: float = later(0.0)
    """Weight of the z-term, which holds logits near 0 (Chowdhery and others, 2022, arXiv:2204.02311, who use 1e-4); no part of the loss."""

    def __post_init__(self) -> None:
        if not 0 <= self.z_weight < inf:
            raise RequestError(f"objective.z_weight is {self.z_weight}: use 0 (no such term) or more, such as 0.0001")

    def questions(self, lexicon: Lexicon, attend: Attend, seed: int) -> Questions:  # noqa: ARG002 - nothing is drawn or added
        return NextTokens(attend)


@dataclass(frozen=True)
class NextTokens:
    """Tokens, targets, and what keeps documents apart; each [rows, context]."""

    attend: Attend

    def inputs(self, batch: Batch, rows: slice, place: Place | None) -> list[NDArray[Any]]:  # noqa: ARG002 - nothing is drawn
        return [batch.tokens[rows, :-1], batch.tokens[rows, 1:], *apart(batch, rows, self.attend)]
