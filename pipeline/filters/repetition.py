"""Repetition: documents that say the same again and again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter, share
from pipeline.filters.words import lines_of, words_of

TOP_REASONS = ("top-two-gram", "top-three-gram", "top-four-gram")
DUPLICATE_REASONS = tuple(f"duplicate-{n}-grams" for n in ("five", "six", "seven", "eight", "nine", "ten"))


@dataclass(frozen=True, kw_only=True)
class Repetition(Filter):
    """Drops documents that repeat lines, paragraphs or n-grams of words.

    The repetition rules of Rae et al. 2021 (Gopher, https://arxiv.org/abs/2112.11446, A.1.1); table A1's defaults.
    Each field is the largest share that is kept, and 1 switches its rule off:
    - `duplicate_lines`, `duplicate_paragraphs`: lines (or paragraphs, which blank lines part) that occurred before in
      the document, of all of them; the same weighed by characters is `…_characters`. Blank lines do not count.
    - `top_grams`, for n = 2, 3, 4: characters inside the most frequent n-gram of words, of all characters of words;
      an n-gram that occurs once is no repetition.
    - `duplicate_grams`, for n = 5 … 10: characters inside n-grams that occurred before, of all characters of words;
      no character counts twice.

    Where the paper leaves a choice: the first occurrence is not counted (as in datatrove), except for `top_grams`;
    space and punctuation are no part of an n-gram, nor of what it is compared with. In scripts that are written
    without spaces, where a word is a character here, an n-gram is as many characters as make about n words
    (`Words.units_a_word`): of Chinese, one and a half times as many.

    What is known of the defaults elsewhere than in English prose. They drop hardly more of modern Chinese than of
    English, and about one in a hundred classical Chinese poems: in a text of fewer than fifty words one n-gram that
    comes twice may be too much, such as a title that is the first line too. Source code repeats by nature
    (`return None`, `self.assertEqual`): of the Python standard library they drop nearly half, by the rules on lines
    and on n-grams of five and more; raise these there.
    """

    duplicate_lines: float = 0.30
    duplicate_paragraphs: float = 0.30
    duplicate_line_characters: float = 0.20
    duplicate_paragraph_characters: float = 0.20
    top_grams: tuple[float, float, float] = (0.20, 0.18, 0.16)
    duplicate_grams: tuple[float, float, float, float, float, float] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("duplicate_lines", "duplicate_paragraphs", "duplicate_line_characters", "duplicate_paragraph_characters")
        self.require_shares("top_grams", "duplicate_grams")
        for field, reasons in (("top_grams", TOP_REASONS), ("duplicate_grams", DUPLICATE_REASONS)):
            if len(getattr(self, field)) != len(reasons):
                raise RequestError(f"Repetition.{field} is {getattr(self, field)!r}: use {len(reasons)} shares, one for each n")

    def verdict(self, document: Document) -> str | None:
        lines = lines_of(document.text)
        return (
            self._pieces([line for line in lines if line], "line", self.duplicate_lines, self.duplicate_line_characters)
            or self._pieces(_paragraphs(lines), "paragraph", self.duplicate_paragraphs, self.duplicate_paragraph_characters)
            or self._grams(document.text)
        )

    def _pieces(self, pieces: Sequence[str], kind: str, most: float, most_characters: float) -> str | None:
        """The verdict on lines or on paragraphs."""
        repeats = repeated(pieces)
        if share(repeats.number, len(pieces)) > most:
            return f"duplicate-{kind}s"
        return f"duplicate-{kind}-characters" if share(repeats.characters, repeats.all_characters) > most_characters else None

    def _grams(self, text: str) -> str | None:
        """The verdict on n-grams."""
        from pipeline.filters.loops import repeated_characters

        words = words_of(text)
        counts = repeated_characters(words.hashes, words.lengths, words.units_a_word).tolist()
        characters = max(sum(words.characters), 1)
        for most, reason, found in zip(self.top_grams + self.duplicate_grams, TOP_REASONS + DUPLICATE_REASONS, counts, strict=True):
            if found / characters > most:
                return reason
        return None


class Repeats(NamedTuple):
    """The pieces of a text that occurred before in it: their number and characters, and the characters of all pieces."""

    number: int
    characters: int
    all_characters: int


def repeated(pieces: Sequence[str]) -> Repeats:
    """What of the pieces (lines, paragraphs) is a repetition; the first occurrence is none."""
    distinct = set(pieces)
    characters = sum(map(len, pieces))
    return Repeats(len(pieces) - len(distinct), characters - sum(map(len, distinct)), characters)


def _paragraphs(lines: Sequence[str]) -> list[str]:
    if "" not in lines:
        return []
    return [paragraph for piece in "\n".join(lines).split("\n\n") if (paragraph := piece.strip("\n"))]
