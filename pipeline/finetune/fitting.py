"""A text among others that are shown with it, cut where all together do not fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pipeline.finetune.reader import Fitted

if TYPE_CHECKING:
    from pipeline.finetune.reader import Reader

Side = Literal["begin", "end"]


def fitted(reader: "Reader", before: str, text: str, after: str, room: int, side: Side) -> Fitted:
    """At most `room` tokens of three texts, encoded as the one that they are together; `text` is cut at a side until they fit.

    Whoever encodes the same texts in one string gets the same tokens. Where `before` and `after` alone do not fit, the last tokens stay.
    """
    ids, spans = reader.pieces(before + text + after)
    truncated = len(ids) > room
    while len(ids) > room and text:
        text = _shorter(text, [(begin - len(before), end - len(before)) for begin, end in spans], len(ids) - room, side)
        ids, spans = reader.pieces(before + text + after)
    return Fitted(ids[max(0, len(ids) - room) :], truncated)


def _shorter(text: str, spans: Sequence[tuple[int, int]], over: int, side: Side) -> str:
    """A text without so many of its tokens, and without one character at least."""
    inside = [(begin, end) for begin, end in spans if begin >= 0 and end <= len(text)]
    if len(inside) <= over:
        return ""
    return text[: min(inside[-over][0], len(text) - 1)] if side == "end" else text[max(inside[over - 1][1], 1) :]
