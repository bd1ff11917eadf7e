"""What each Unicode character is to a word, as a table."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from pipeline.filters.loops import DIGIT, HAN, HANGUL, JOINER, KANA, LETTER, MARK, OTHER, SPACE, SYLLABLE

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
