"""What a model learns to predict from windows of text: the inputs that it is called with, made of the rows of a batch.

What is hidden from a model is a function of the run's seed, the step and the row's number in the global batch, so that it is
the same for any number of workers, any micro-batch, and after any interruption. On held-out text it is a function of
the text alone, so that losses of different steps and runs are of the same questions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.packing import Batch
from pipeline.objectives.lexicon import Lexicon

Attend = Literal["document", "window"]


@dataclass(frozen=True)
class Place:
    """Where the first row of a batch stands in a run."""

    step: int
    row: int
    """In the global batch of the step."""


class Questions(Protocol):
    """An objective, ready for the batches of one vocabulary."""

    def inputs(self, batch: Batch, rows: slice, place: Place | None) -> list[NDArray[Any]]:
        """What a model is called with for some rows of a batch. The batch's first row stands at `place`; None: it is held out."""


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """A frozen recipe of what is predicted."""

    predicted: ClassVar[str] = "token"
    """What a loss in nats is a mean over."""

    def added(self, context: int) -> tuple[str, ...]:  # noqa: ARG002 - most add the same for any context
        """The special tokens that a model of windows of `context` tokens needs beyond the tokenizer's, in the order of their ids."""
        return ()

    def roles(self) -> Mapping[str, str]:
        """Which special tokens have a role in transformers' tokenizers, such as {"mask_token": …}."""
        return {}

    def model_ids(self, lexicon: Lexicon) -> Mapping[str, int]:  # noqa: ARG002 - most have nothing to say
        """Ids that a model's config.json names, beside those of the end of a text."""
        return {}

    def check(self, attend: Attend, context: int) -> None:  # noqa: B027 - most take anything
        """Raise RequestError for windows that cannot be learned from."""

    @abstractmethod
    def questions(self, lexicon: Lexicon, attend: Attend, seed: int) -> Questions:
        """The objective for a vocabulary and a run of this seed. Raises RequestError for a tokenizer that it is of no use with."""


def apart(batch: Batch, rows: slice, attend: Attend) -> list[NDArray[Any]]:
    """What says where documents begin, if attention stays inside them and one does; each [rows, context].

    Most windows of a corpus of long documents lie inside one, where a plain mask says the same and costs half.
    """
    if attend == "document" and batch.documents[rows].any():
        return [batch.documents[rows], batch.positions[rows]]
    return []


def first_row(rows: slice) -> int:
    """The number of the first of some rows."""
    return int(rows.start or 0)


def held_out_rows(tokens: "NDArray[np.int64]") -> Batch:
    """Texts of equal length [rows, T] as the windows of a batch, each of one document."""
    count, length = tokens.shape
    padded = np.concatenate([tokens, np.zeros((count, 1), np.int64)], axis=1)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), (count, length))
    return Batch(padded, np.zeros((count, length), np.int32), positions)
