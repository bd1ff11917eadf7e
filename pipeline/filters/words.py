"""The units of text that filters count: words and lines, in Chinese as well as in English.

A word is
- a run of letters and digits of a script that spaces its words (an apostrophe or underscore between two of them
  belongs to the run: "don't", "read_file"); Korean is of this kind;
- one Han character or one Kana, since Chinese and Japanese are written without spaces, and telling their words
  apart needs a dictionary. In Chinese prose about 1.5 characters make a word;
- one letter, with its marks, of Thai, Lao, Khmer or Burmese, for the same reason.

Nothing here depends on a language being known, and all of it is linear in the text.
"""

from functools import cache, lru_cache
from operator import truediv
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kinds(NamedTuple):
    """A number for each kind of word, in the order of `loops`."""

    number: float
    """Runs without a letter."""
    run: float
    """Runs with letters."""
    korean: float
    """Runs with Hangul."""
    han: float
    kana: float
    syllable: float
    """Letters of Thai, Lao, Khmer and Burmese."""


UNITS_A_WORD = Kinds(1.0, 1.0, 1.0, 1.5, 2.0, 4.0)
"""About how many words in the sense of this module make one word of the language."""


class Words(NamedTuple):
    """The words of a text, in order, and their sums.

    hashes: 64 bits of each word's characters; lengths: the characters (code points) of each; counts, characters: the
    number of words of each kind, and their characters; visible: the characters of the text that are no white space.
    """

    hashes: NDArray[np.uint64]
    lengths: NDArray[np.int32]
    counts: Kinds
    characters: Kinds
    visible: int

    @property
    def units_a_word(self) -> float:
        """About how many of these words make one word of the text's language: 1 in English, 1.5 in Chinese."""
        return len(self.hashes) / sum(map(truediv, self.counts, UNITS_A_WORD)) if len(self.hashes) else 1.0


@lru_cache(maxsize=2)
def words_of(text: str) -> Words:
    """The words of a text. The last answers are kept: several filters ask about one document, and one about a part of it."""
    find_words, classes = _loaded()
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    hashes, lengths, sums = np.empty(codes.size, np.uint64), np.empty(codes.size, np.int32), np.zeros((3, len(UNITS_A_WORD)), np.int64)
    words = find_words(codes, classes, hashes, lengths, sums)
    counts, characters, (visible, *_) = sums.tolist()
    return Words(hashes[:words], lengths[:words], Kinds(*counts), Kinds(*characters), visible)


@cache
def _loaded() -> tuple[Any, NDArray[np.uint8]]:
    """The compiled loop and its table, loaded where they are first used."""
    from pipeline.filters.characters import character_classes
    from pipeline.filters.loops import find_words

    return find_words, character_classes()


@lru_cache(maxsize=1)
def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text without the white space around them; blank lines are empty strings."""
    return tuple(map(str.strip, text.splitlines()))
