"""Texts that are longer than what a model reads: windows that overlap, so that what stands at the edge of one is inside another."""

from collections.abc import Iterator
from typing import NamedTuple


class Window(NamedTuple):
    """The tokens [begin, end) of a text, of which [first, last) are this window's own: no other window that has them shows more of
    what is around them. Each token is the own one of one window."""

    begin: int
    end: int
    first: int
    last: int


def overlapping(count: int, room: int, overlap: int) -> Iterator[Window]:
    """Windows of at most `room` tokens, that cover `count` of them; each begins at least `overlap` before the last one ends."""
    begin, first = 0, 0
    while True:
        end = min(count, begin + room)
        if end == count:
            yield Window(begin, end, first, count)
            return
        following = min(end - overlap, count - room)
        last = (following + end) // 2
        yield Window(begin, end, first, last)
        begin, first = following, last
