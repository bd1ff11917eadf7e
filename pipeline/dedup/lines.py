"""Lines and paragraphs, in the form in which they are compared.

The form is that of CCNet's code (Wenzek et al., 2020): lower case, every digit a 0, without control characters and without punctuation
outside ASCII. Beyond that a run of white space (as Unicode has it) is one space, and none stands at either end.
"""

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.digest import digests
from pipeline.dedup.kernel import BOOLEAN, BYTES, BYTES_OUT, INTEGER, OFFSETS, OFFSETS_OUT, TABLE, kernel, part
from pipeline.dedup.passages import Passages
from pipeline.dedup.shingles import Buffers

SPACE, ZERO = 1 << 31, ord("0")
TABLE_SIZE = 0x20000
"""Above lie ideographs, which stand for themselves."""
LINE_END = ord("\n")
FIELDS = 6
"""A passage has a start and an end in bytes, in ink, and in the buffer of forms."""


@cache
def form_table() -> NDArray[np.uint32]:
    """What a code point below TABLE_SIZE is compared as: a code point, SPACE, or 0 for nothing; from the Unicode data of this Python."""
    table = np.zeros(TABLE_SIZE, np.uint32)
    for code in range(TABLE_SIZE):
        character = chr(code)
        category = unicodedata.category(character)
        if character.isspace():
            table[code] = SPACE
        elif category == "Nd":
            table[code] = ZERO
        elif category != "Cc" and (code < 0x80 or not category.startswith("P")):
            table[code] = ord(character.lower()[0])
    table.flags.writeable = False
    return table


def line_passages(buffers: Buffers, paragraphs: bool, least: int) -> Passages:
    """The lines (or paragraphs: runs of lines that blank lines part) of every row whose form has at least `least` characters.

    A line goes up to the start of the next one, a paragraph likewise: blank lines after it belong to it.
    """
    data, offsets = buffers
    size = int(offsets[-1] - offsets[0])
    form, fields = np.empty(2 * size, np.uint8), np.empty(FIELDS * (size // least + 1), np.int64)
    counts, ink = np.empty(offsets.size - 1, np.int64), np.empty(offsets.size - 1, np.int64)
    found = _split(data, offsets, form_table(), paragraphs, least, form, fields, counts, ink)
    passages = fields.reshape(-1, FIELDS)[:found]
    keys = digests(form, passages[:, 4].copy(), passages[:, 5].copy())
    return Passages(counts=counts, ink=ink, places=passages[:, :4], digests=keys)


@part
def _decode(data: NDArray[np.uint8], place: int, end: int) -> tuple[int, int]:
    """The code point whose UTF-8 begins at `place`, and where the next begins; 0 for bytes that begin none."""
    lead = int(data[place])
    if lead < 0x80:
        return lead, place + 1
    length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC0 or place + length > end:
        return 0, place + 1
    code = lead & (0x7F >> length)
    for follower in range(place + 1, place + length):
        code = (code << 6) | (int(data[follower]) & 0x3F)
    return code, place + length


@part
def _append(form: NDArray[np.uint8], filled: int, code: int) -> int:
    """Write a code point so that it can be read back: one byte for ASCII, else three; the new end."""
    if code < 0x80:
        form[filled] = code
        return filled + 1
    form[filled] = 0x80 | (code >> 14)
    form[filled + 1] = (code >> 7) & 0x7F
    form[filled + 2] = code & 0x7F
    return filled + 3


@part
def _line(
    data: NDArray[np.uint8],
    place: int,
    end: int,
    table: NDArray[np.uint32],
    form: NDArray[np.uint8],
    filled: int,
    length: int,
) -> tuple[int, int, int, int]:
    """Append the form of the line at `place` to a form of `length` characters that ends at `filled`.

    The start of the next line, the new end of the form, its new length, and the ink of the line.
    """
    gap, ink = length > 0, 0
    while place < end:
        byte = data[place]
        if byte == LINE_END:
            place += 1
            break
        before = place
        code, place = _decode(data, place, end)
        letter = int(table[code]) if code < TABLE_SIZE else code
        ink += place - before if byte > 0x20 else 0
        if letter == SPACE:
            gap = length > 0
        elif letter != 0:
            if gap:
                filled = _append(form, filled, 0x20)
                length += 1
                gap = False
            filled = _append(form, filled, letter)
            length += 1
    return place, filled, length, ink


@kernel(INTEGER(BYTES, OFFSETS, TABLE, BOOLEAN, INTEGER, BYTES_OUT, OFFSETS_OUT, OFFSETS_OUT, OFFSETS_OUT))
def _split(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: NDArray[np.uint32],
    paragraphs: bool,
    least: int,
    form: NDArray[np.uint8],
    fields: NDArray[np.int64],
    counts: NDArray[np.int64],
    ink: NDArray[np.int64],
) -> int:
    """Write the FIELDS of each passage one after the other, and the passages and the ink of each row; the number of passages.

    The passage that is open has its fields at `slot` already, and stays there if its form has the length.
    """
    slot = filled = 0
    for row in range(offsets.size - 1):
        place, end, first = offsets[row], offsets[row + 1], offsets[row]
        total, length, blank, before = 0, 0, True, slot
        while place < end:
            start, ink_start, joined = place, total, paragraphs and not blank
            place, form_end, size, seen = _line(data, place, end, table, form, filled, length if joined else 0)
            total += seen
            blank = form_end == filled
            if not blank and not joined:
                slot += length >= least
                fields[FIELDS * slot], fields[FIELDS * slot + 2], fields[FIELDS * slot + 4] = start - first, ink_start, filled
            if not blank:
                filled, length = form_end, size
            if paragraphs or not blank:
                fields[FIELDS * slot + 1], fields[FIELDS * slot + 3], fields[FIELDS * slot + 5] = place - first, total, filled
        slot += length >= least
        counts[row], ink[row] = slot - before, total
    return slot
