"""Where words begin among tokens, read from the characters that the tokens spell, whatever the tokenizer made of them.

A letter or digit goes on after a letter or digit, so a word is cut at spaces and signs, and a space begins the word that follows it. In
scripts that are written without spaces (Chinese, Japanese, Thai and their like) every character is a word of its own, and so
is a token of several such characters, which for a byte-level BPE of Chinese is often a word in earnest. A combining mark goes on with
its letter. The bytes of one character always go on, so a character that the tokenizer split is never parted.
"""

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.objectives.lexicon import Spelling

SIGN, LETTER, ALONE, MARK = range(4)
CODES = 0x110000
UNSPACED = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # 々〆〇
    (0x3021, 0x3029),
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # Katakana of half width
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),  # Han
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
)
"""Code points of scripts that are written without spaces between words."""
JOINERS = (0x200C, 0x200D)


@cache
def _kinds() -> NDArray[np.uint8]:
    """The kind of each code point."""
    categories = [unicodedata.category(chr(code))[0] for code in range(CODES)]
    table = np.select(
        [np.isin(categories, ["L", "N"]), np.array(categories) == "M"],
        [LETTER, MARK],
        SIGN,
    ).astype(np.uint8)
    for first, last in UNSPACED:
        block = table[first : last + 1]
        block[block == LETTER] = ALONE
    table[list(JOINERS)] = MARK
    return table


def word_starts(tokens: NDArray[np.int64], begins: NDArray[np.bool_], spelling: Spelling) -> NDArray[np.bool_]:
    """Whether a word begins at each of `tokens` [rows, T]; where `begins` is set, a document or a window does, and so does a word."""
    flat = tokens.ravel()
    lengths = spelling.offsets[flat + 1] - spelling.offsets[flat]
    ends = np.cumsum(lengths)
    places = np.arange(int(ends[-1])) + np.repeat(spelling.offsets[flat] - (ends - lengths), lengths)
    text = spelling.values[places]
    heads = (text & 0xC0) != 0x80
    characters = np.cumsum(heads) - 1
    opens = np.append(heads, True).nonzero()[0].searchsorted((ends - lengths)[begins.ravel()])  # the first character from there on
    found = _characters(text, np.flatnonzero(heads), opens[opens < np.count_nonzero(heads)])
    kinds, before = (np.append(each, np.uint8(SIGN)) for each in found)  # the last stands for bytes before any character
    spelled = np.flatnonzero(lengths)
    first = (ends - lengths)[spelled]
    own = characters[first]
    inside = (own < 0) | ~heads[first] | (kinds[own] == MARK) | ((kinds[own] == LETTER) & (before[own] == LETTER))
    starts = np.ones(len(flat), np.bool_)
    starts[spelled] = ~inside
    return starts.reshape(tokens.shape) | begins


def _characters(text: NDArray[np.uint8], heads: NDArray[np.int64], opens: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The kind of each character of UTF-8 that begins at one of `heads`, and of the last before it that is no mark.

    The characters `opens` are the first of a document or a window: what stands before them is another's.
    """
    kinds = _kinds()[_code_points(text, heads)]
    is_base = kinds != MARK
    is_base[opens] = True
    bases = np.maximum.accumulate(np.where(is_base, np.arange(len(kinds)), 0))
    before = np.concatenate([np.array([SIGN], np.uint8), kinds[bases][:-1]])
    before[opens] = SIGN
    return kinds, before


def _code_points(text: NDArray[np.uint8], heads: NDArray[np.int64]) -> NDArray[np.int64]:
    """The code point at each head; bytes that are no UTF-8 give some number below CODES."""
    padded = np.concatenate([text, np.zeros(3, np.uint8)]).astype(np.int64)
    lead = padded[heads]
    more = (lead >= 0xC0).astype(np.int64) + (lead >= 0xE0) + (lead >= 0xF0)
    codes = np.where(more > 0, lead & (0x3F >> more), lead)
    for place in (1, 2, 3):
        codes = np.where(more >= place, (codes << 6) | (padded[heads + place] & 0x3F), codes)
    return np.minimum(codes, CODES - 1)
