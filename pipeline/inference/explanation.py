"""What a model is asked to explain, and the explanation: each answer, how likely it was, and what it owes to what was read."""

from dataclasses import dataclass

from pipeline.documents import is_utf_8
from pipeline.errors import RequestError
from pipeline.inference.attention import Attention
from pipeline.inference.importance import Importance
from pipeline.inference.pieces import Piece

MOST_READ, MOST_ANSWERS = 1024, 64
"""Tokens: attention grows with the square of what is read, and the page with the product of both."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked."""

    prompt: str = ""
    """The text that is read; an encoder answers at each mask in it, an encoder-decoder at each <extra_id_0>, …"""
    target: str | None = None
    """The answer to be explained, or a classifier's label; None: the likeliest."""
    new_tokens: int = 16
    """Greatest number of tokens that are written where no target is given."""
    points: int = 64
    """Points of the path that slopes are summed over; more make the completeness gap smaller."""

    def __post_init__(self) -> None:
        for name, most in (("new_tokens", MOST_ANSWERS), ("points", None)):
            value = getattr(self, name)
            if value < 1 or (most and value > most):
                raise RequestError(f"{name} is {value}: use at least 1{f', and at most {most}' if most else ''}")
        for name in ("prompt", "target"):
            if not is_utf_8(getattr(self, name) or ""):
                raise RequestError(f"{name} is {getattr(self, name)!r}, which is no text in UTF-8: give it as such")
        if self.target == "":
            raise RequestError("target is empty: give the words to be explained, or leave it out")


@dataclass(frozen=True)
class Choice:
    """What could have been answered, and how likely."""

    piece: Piece
    probability: float


@dataclass(frozen=True)
class Answer:
    """What was answered, and why."""

    chosen: Choice
    alternatives: tuple[Choice, ...]
    """The likeliest answers, the chosen one among them where it is one of them."""
    importance: Importance
    """Of the tokens that were read, from the first on."""
    row: int | None
    """The row of the attention that the answer was read from; None where there is no such row."""


@dataclass(frozen=True)
class Explanation:
    """What a model read, and its answers."""

    read: tuple[Piece, ...]
    """The prompt; of a decoder, what it wrote stands behind, since it reads that too."""
    given: int
    """How many of them are the prompt's."""
    answers: tuple[Answer, ...]
    kind: str
    """What answered: "decoder", "encoder-decoder", "encoder" or "classifier"."""
    attention: Attention | None
    """Of all that was read; None for a model that has none."""
