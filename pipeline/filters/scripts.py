"""Which script a text is written in, by Unicode blocks, and which languages are written in it."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

LATIN = 1
SCRIPTS: tuple[tuple[tuple[str, ...], tuple[tuple[int, int], ...]], ...] = (
    ((), ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF5A))),  # LATIN: most languages
    (("el", "grc"), ((0x370, 0x3FF), (0x1F00, 0x1FFF))),
    (("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tg", "tt", "ba"), ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF))),
    (("hy",), ((0x530, 0x58F),)),
    (("he", "hbo"), ((0x590, 0x5FF), (0xFB1D, 0xFB4F))),
    (("ar", "fa", "ur", "ps", "ug", "sdh", "uzs"), ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFEFF))),
    (("hi", "mr", "ne", "sa", "gom"), ((0x900, 0x963), (0x966, 0x97F))),
    (("bn", "as"), ((0x980, 0x9FF),)),
    (("pa",), ((0xA00, 0xA7F),)),
    (("gu",), ((0xA80, 0xAFF),)),
    (("or",), ((0xB00, 0xB7F),)),
    (("ta",), ((0xB80, 0xBFF),)),
    (("te",), ((0xC00, 0xC7F),)),
    (("kn",), ((0xC80, 0xCFF),)),
    (("ml",), ((0xD00, 0xD7F),)),
    (("si",), ((0xD80, 0xDFF),)),
    (("th",), ((0xE00, 0xE7F),)),
    (("lo",), ((0xE80, 0xEFF),)),
    (("dz",), ((0xF00, 0xFFF),)),
    (("my",), ((0x1000, 0x109F),)),
    (("ka",), ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F))),
    (("ko",), ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF))),
    (("am",), ((0x1200, 0x139F),)),
    (("km",), ((0x1780, 0x17FF),)),
)
"""The languages that `Language` can tell in each script, and its blocks. Han and Kana are told apart as words are."""


@cache
def _table() -> NDArray[np.uint8]:
    """The script of each code point, as its place in SCRIPTS from 1; 0 is none of them."""
    table = np.zeros(0x110000, np.uint8)
    for place, (_, blocks) in enumerate(SCRIPTS, 1):
        for first, last in blocks:
            table[first : last + 1] = place
    return table


def written_in(text: str) -> tuple[Sequence[str], float]:
    """The languages of the script that most letters of a text are in, and the share of these letters.

    None are named for Latin letters, and for a text in none of the scripts.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = np.bincount(_table()[codes], minlength=len(SCRIPTS) + 1)[1:]
    if not letters.any():
        return (), 0.0
    most = int(letters.argmax())
    return SCRIPTS[most][0], float(letters[most] / letters.sum())


@cache
def _only() -> tuple[frozenset[str], frozenset[str]]:
    """The characters that only simplified, and that only traditional Chinese writes.

    They are the frequent characters (level 1) of the one national standard, GB 2312 or Big5, that the other does not have at
    all: about 1,200 and 2,100. Python knows both, as encodings.
    """
    simplified, traditional = set(), set()
    for character in map(chr, range(0x4E00, 0xA000)):
        here, there = _encoded(character, "gb2312"), _encoded(character, "big5")
        if here and not there and here[0] <= 0xD7:
            simplified.add(character)
        if there and not here and there[0] <= 0xC6:
            traditional.add(character)
    return frozenset(simplified), frozenset(traditional)


def _encoded(character: str, encoding: str) -> bytes:
    return character.encode(encoding, "ignore")


def chinese_script(text: str) -> str | None:
    """Hans or Hant: what most characters are that only one of the two writes; None where there are none, or as many of both."""
    simplified, traditional = _only()
    difference = sum((character in simplified) - (character in traditional) for character in text)
    return "Hans" if difference > 0 else "Hant" if difference < 0 else None
