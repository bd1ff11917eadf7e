"""How words are spelled where texts are compared, so that copies that were typed or set differently are the same.

Case, accents and the compatibility forms of a character (ＡＢＣ, ﬁ, ｶﾞ) do not count: each character is decomposed and
case-folded by itself, as NFKD and Unicode's case folding have it. Apostrophes, underscores, soft hyphens and
invisible characters are as if they were not there; all other punctuation and all symbols stand between words. Two
equal texts in two normal forms have the same spelling, except where the order of two marks of one letter differs.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.filters.characters import character_classes
from pipeline.filters.loops import HAN, JOINER, OTHER, SPACE
from pipeline.filters.loops import MARK as MARK_CLASS
from pipeline.filters.word_loops import ALONE, COUNT_BITS, MARK

TABLE_SIZE = 0x34000
"""Beyond it there are variation selectors, tags and private characters only: none of them is ever spelled."""
ACCENTS = range(0x300, 0x370)


class Spellings(NamedTuple):
    """places [code points]: where in `letters` a character's spelling begins, shifted by COUNT_BITS, and its number of letters.

    No spelling has more letters than its character has bytes in UTF-8.
    """

    places: NDArray[np.uint32]
    letters: NDArray[np.uint32]


@cache
def spellings() -> Spellings:
    """The spelling of every character, from the Unicode data of this Python."""
    classes = character_classes()
    known: dict[tuple[int, ...], int] = {}
    letters: list[int] = []
    places = np.zeros(TABLE_SIZE, np.uint32)
    for code in range(TABLE_SIZE):
        spelling = _spelling(chr(code), classes)
        if spelling not in known:
            known[spelling] = len(letters)
            letters += spelling
        places[code] = known[spelling] << COUNT_BITS | len(spelling)
    places.flags.writeable = False
    return Spellings(places, np.array(letters, np.uint32))


def _spelling(character: str, classes: NDArray[np.uint8]) -> tuple[int, ...]:
    """The letters of a character, decomposed and case-folded; or as it is, where that takes more letters than it has bytes (㍿, ﷺ)."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    for form in (folded, character):
        spelling = tuple(letter for each in form if (letter := _letter(each, int(classes[ord(each)]))) is not None)
        if len(spelling) <= len(character.encode("utf-8", "surrogatepass")):
            break
    return spelling


def _letter(character: str, kind: int) -> int | None:
    """The letter for a folded character; None where it is as if it were not there."""
    code = ord(character)
    if kind == JOINER or code in ACCENTS or unicodedata.category(character) == "Cf":
        return None
    if kind in (OTHER, SPACE):
        return 0
    return code | (MARK if kind == MARK_CLASS else ALONE if kind >= HAN else 0)
