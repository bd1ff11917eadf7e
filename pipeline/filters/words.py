"""The units of text that filters count: words and lines, in Chinese as well as in English.

A word is
- a run of letters and digits of a script that spaces its words (an apostrophe or underscore between two of them
  belongs to the run: "don't", "read_file"); Korean is of this kind;
- one Han character or one Kana, since Chinese and Japanese are written without spaces, and telling their words
  apart needs a dictionary. In Chinese prose about 1.5 characters make a word;
- one letter, with its marks, of Thai, Lao, Khmer or Burmese, for the same reason.

Nothing here depends on a language being known, and all of it is linear in the text.
"""

import unicodedata
from functools import cache, lru_cache
from operator import truediv
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OTHER, SPACE, LETTER, HANGUL, DIGIT, MARK, JOINER, HAN, KANA, SYLLABLE = range(10)
"""What a character is to a word: LETTER to DIGIT make runs, HAN to SYLLABLE are words by themselves."""
NUMBER, RUN, KOREAN_RUN, HAN_WORD, KANA_WORD, SYLLABLE_WORD = KINDS = range(6)
"""What a word is: a run without letters, a run with letters, one with Hangul, or a character that stands for itself."""
UNITS_A_WORD = (1.0, 1.0, 1.0, 1.5, 2.0, 4.0)
"""About how many words in the sense of this module make one word of the language, for each of KINDS."""

SCRIPTS = (
    (HANGUL, 0x1100, 0x11FF),
    (HANGUL, 0x3130, 0x318F),
    (HANGUL, 0xA960, 0xA97F),
    (HANGUL, 0xAC00, 0xD7FF),
    (SYLLABLE, 0x0E00, 0x0EFF),  # Thai, Lao
    (SYLLABLE, 0x1000, 0x109F),  # Burmese
    (SYLLABLE, 0x1780, 0x17FF),  # Khmer
    (HAN, 0x2E80, 0x303F),  # radicals, iteration marks
    (KANA, 0x3040, 0x30FF),
    (HAN, 0x3100, 0x312F),  # Bopomofo
    (HAN, 0x31A0, 0x31BF),
    (KANA, 0x31F0, 0x31FF),
    (HAN, 0x3400, 0x4DBF),
    (HAN, 0x4E00, 0x9FFF),
    (HAN, 0xF900, 0xFAFF),
    (KANA, 0xFF66, 0xFF9F),  # half-width
    (KANA, 0x1B000, 0x1B16F),
)
"""The letters of Korean, and of scripts that are written without spaces between words: class, first and last code point."""
HAN_PLANES = slice(0x20000, 0x40000)
LAST_LETTER = 0x20000
"""Beyond it there are Han characters, and nothing else that a word is made of."""


class Words(NamedTuple):
    """The words of a text, in order, and their sums.

    hashes: 64 bits of each word's characters; lengths: the characters (code points) of each; counts, characters: the
    number of words of each of KINDS, and their characters; visible: the characters of the text that are no white space.
    """

    hashes: NDArray[np.uint64]
    lengths: NDArray[np.int32]
    counts: list[int]
    characters: list[int]
    visible: int

    @property
    def units_a_word(self) -> float:
        """About how many of these words make one word of the text's language: 1 in English, 1.5 in Chinese."""
        return len(self.hashes) / sum(map(truediv, self.counts, UNITS_A_WORD)) if len(self.hashes) else 1.0


@lru_cache(maxsize=2)
def words_of(text: str) -> Words:
    """The words of a text. The last answers are kept: several filters ask about one document, and one about a part of it."""
    from pipeline.filters.loops import find_words

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    hashes, lengths, sums = np.empty(codes.size, np.uint64), np.empty(codes.size, np.int32), np.zeros((3, len(KINDS)), np.int64)
    words = find_words(codes, character_classes(), hashes, lengths, sums)
    counts, characters, (visible, *_) = sums.tolist()
    return Words(hashes[:words], lengths[:words], counts, characters, visible)


@lru_cache(maxsize=1)
def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a text without the white space around them; blank lines are empty strings."""
    return tuple(map(str.strip, text.splitlines()))


@cache
def character_classes() -> NDArray[np.uint8]:
    """What each code point is to a word: one of OTHER … SYLLABLE."""
    classes = np.full(0x110000, OTHER, np.uint8)
    classes[:LAST_LETTER] = [_class_of(chr(code)) for code in range(LAST_LETTER)]
    for kind, first, last in SCRIPTS:
        letters = [unicodedata.category(chr(code)) in ("Lo", "Lm", "Nl") for code in range(first, last + 1)]
        classes[first : last + 1][letters] = kind
    classes[HAN_PLANES] = HAN
    classes[[ord(joiner) for joiner in "'’_"]] = JOINER
    return classes


def _class_of(character: str) -> int:
    """By the general category. Format characters (joiners inside a Persian word, soft hyphens) are as marks are."""
    if character.isspace():
        return SPACE
    category = unicodedata.category(character)
    return {"L": LETTER, "N": DIGIT, "M": MARK}.get(category[0], MARK if category == "Cf" else OTHER)
