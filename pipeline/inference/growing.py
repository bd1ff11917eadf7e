"""Text that grows token by token: whole characters only, cut where it is to stop, and ready to be shown while it grows."""

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a decoder puts for the bytes of a character that is not complete."""
LONGEST = 16
"""Tokens that are decoded together at most, so that a text costs in proportion to its length."""


class GrowingText:
    """The text of tokens that are drawn one after the other, up to the first of `stops`, whatever tokens that lies in.

    `before` are the tokens that the text goes on from: what a token means may depend on those before it (a word that is not the first
    of a text has a space before it). Special tokens are no text.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int], stops: Sequence[str]) -> None:
        self.text, self.stopped = "", False
        self._tokenizer, self._stops, self._shown = tokenizer, stops, 0
        self._tokens = list(before[-LONGEST // 2 :])
        self._read = self._decoded()

    def add(self, token: int) -> None:
        """One more token; the bytes of a character wait until it is whole."""
        self._tokens.append(token)
        if not (text := self._decoded()).endswith(UNFINISHED):
            self._take(text)
            if len(self._tokens) > LONGEST:
                self._tokens = self._tokens[-LONGEST // 2 :]
                self._read = self._decoded()

    def finish(self) -> None:
        """Nothing comes after this: bytes that are still waiting are no character."""
        self._take(self._decoded())

    def news(self, finished: bool) -> str:
        """What has come since the last call; what may be the beginning of a stop waits until that is known, or the text is finished."""
        ready = len(self.text) - (0 if finished or self.stopped else max(map(self._begun, self._stops), default=0))
        news, self._shown = self.text[self._shown : ready], max(self._shown, ready)
        return news

    def _decoded(self) -> str:
        text: str = self._tokenizer.decode(self._tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _take(self, read: str) -> None:
        """Append what `read` has more than what was read, up to the stop that is complete first."""
        if self.stopped:
            return
        old, self.text, self._read = len(self.text), self.text + read[len(self._read) :], read
        places = ((self.text.find(stop, max(0, old - len(stop) + 1)), stop) for stop in self._stops)
        if found := [(place + len(stop), place) for place, stop in places if place >= 0]:
            self.text, self.stopped = self.text[: min(found)[1]], True

    def _begun(self, stop: str) -> int:
        """How many characters of a stop, but not all of it, stand at the end of the text."""
        return next((length for length in range(len(stop) - 1, 0, -1) if self.text.endswith(stop[:length])), 0)
