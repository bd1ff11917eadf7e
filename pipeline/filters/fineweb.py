"""FineWeb: pages that are menus, lists and fragments rather than sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.base import Filter, share
from pipeline.filters.repetition import repeated
from pipeline.filters.sentences import ELLIPSES, END_MARKS
from pipeline.filters.words import lines_of

ENDS = (*END_MARKS, "'", "’", *ELLIPSES)
LETTERS_OF_A_HAN, LETTERS_OF_A_KANA = 4, 3
"""An English word and its space are about six characters; a Chinese word is about one and a half, a Japanese one two."""


@dataclass(frozen=True, kw_only=True)
class FineWeb(Filter):
    """Drops pages of menus, lists and fragments, by the rules that FineWeb added.

    There are three, with their published thresholds. Penedo et al. 2024 (https://arxiv.org/abs/2406.17557, 3.6) drop a
    page if, of its lines that are not blank, the share that ends in a mark is at most `ended_lines`, or the share
    shorter than `short` characters is at least `short_lines`, or if the characters in lines that occurred before are
    at least `duplicate_characters` of all.

    A line's marks are those of C4 with the apostrophe and the ellipsis. Lines are measured in English characters: a Han
    character counts as four and a Kana as three, so that a line of eight Han characters is not short. Verse in shorter
    lines is dropped in Chinese as it is in English: one in ten classical poems.
    """

    ended_lines: float = 0.12
    short_lines: float = 0.67
    short: int = 30
    duplicate_characters: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("ended_lines", "short_lines", "duplicate_characters")

    def verdict(self, document: Document) -> str | None:
        lines = [line for line in lines_of(document.text) if line]
        if share(sum(line.endswith(ENDS) for line in lines), len(lines)) <= self.ended_lines:
            return "few-ended-lines"
        if share(self._short(lines), len(lines)) >= self.short_lines:
            return "short-lines"
        repeats = repeated(lines)
        return "duplicate-line-characters" if share(repeats.characters, repeats.all_characters) >= self.duplicate_characters else None

    def _short(self, lines: Sequence[str]) -> int:
        return sum(len(line) < self.short and (line.isascii() or _measure(line) < self.short) for line in lines)


def _measure(line: str) -> int:
    """The length of a short line in English characters."""
    han = sum("\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U0003ffff" for character in line)
    kana = sum("\u3041" <= character <= "\u30ff" for character in line)
    return len(line) + (LETTERS_OF_A_HAN - 1) * han + (LETTERS_OF_A_KANA - 1) * kana
