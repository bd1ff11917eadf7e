"""Which characters make words, in any script: what shingles are counted in.

A word is a run of letters, digits, marks and underscores. Scripts that are written without spaces between
words (Han, kana, Thai, Lao, Burmese, Khmer) have a word for each letter, so that Chinese is compared as
finely as English. Case does not count.
"""

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

CODE, SYMBOL, MARK, ALONE = (1 << 21) - 1, 1 << 29, 1 << 30, 1 << 31
"""An entry of the table: the code point of the lower-case letter, and flags; 0 where nothing is to be seen."""
TABLE_SIZE = 0x20000
"""Above lie only ideographs, in the planes 2 and 3."""
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic marks of repetition and zero
    (0x3040, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),  # bopomofo and kana extensions
    (0x3400, 0x4DBF),  # ideographs
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),  # kana of half width
    (0x17000, 0x18DFF),  # Tangut, Khitan
    (0x1AFF0, 0x1B2FF),  # kana extensions, Nüshu
)


@cache
def letter_table() -> NDArray[np.uint32]:
    """Entry by code point below TABLE_SIZE, from the Unicode data of this Python."""
    table = np.zeros(TABLE_SIZE, np.uint32)
    for code in range(TABLE_SIZE):
        character = chr(code)
        category = unicodedata.category(character)
        if category.startswith("M"):
            table[code] = code | MARK
        elif character.isalnum() or character == "_":
            table[code] = ord(character.lower()[0])
        elif category.startswith(("P", "S")):
            table[code] = code | SYMBOL | ALONE
    for first, last in UNSPACED:
        block = table[first : last + 1]
        block[(block != 0) & (block & MARK == 0)] |= np.uint32(ALONE)
    table.flags.writeable = False
    return table
