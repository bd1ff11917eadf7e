"""Exact duplicates: documents whose texts are equal once white space is folded.

A run of white space (as Unicode has it) is one space, and none stands at either end. Nothing else is changed:
case, punctuation and Unicode forms count here (`Clean` can bring texts to one form before).
"""

import hashlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.kernel import BYTES, BYTES_OUT, NOTHING, OFFSETS, OFFSETS_OUT, kernel, part
from pipeline.dedup.shingles import Buffers

DIGEST_BYTES = 16


def exact_keys(buffers: Buffers) -> NDArray[np.uint64]:
    """A 128-bit digest of every row's folded text, as two columns: BLAKE2b, so that equal keys mean equal texts."""
    data, offsets = buffers
    folded, ends = np.empty(offsets[-1] - offsets[0], np.uint8), np.empty(offsets.size, np.int64)
    _fold_spaces(data, offsets, folded, ends)
    view, places = folded.data, ends.tolist()
    digests = [hashlib.blake2b(view[start:end], digest_size=DIGEST_BYTES).digest() for start, end in pairwise(places)]
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)


@part
def _space(data: NDArray[np.uint8], place: int, end: int) -> int:
    """The number of bytes of the white-space character at `place`; 0 where there is none."""
    first = data[place]
    if first <= 0x20:
        return 1 if first == 0x20 or 0x09 <= first <= 0x0D or first >= 0x1C else 0
    if first == 0xC2 and place + 1 < end:
        return 2 if data[place + 1] in (0x85, 0xA0) else 0
    if not 0xE1 <= first <= 0xE3 or place + 2 >= end:
        return 0
    second, third = data[place + 1], data[place + 2]
    if first == 0xE2 and second == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
        return 3 if 0x80 <= third <= 0x8A or third in (0xA8, 0xA9, 0xAF) else 0
    ogham, mathematical, ideographic = (
        first == 0xE1 and second == 0x9A and third == 0x80,
        first == 0xE2 and second == 0x81 and third == 0x9F,
        first == 0xE3 and second == 0x80 and third == 0x80,
    )
    return 3 if ogham or mathematical or ideographic else 0


@kernel(NOTHING(BYTES, OFFSETS, BYTES_OUT, OFFSETS_OUT))
def _fold_spaces(data: NDArray[np.uint8], offsets: NDArray[np.int64], folded: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
    """Copy every row with its white space folded, one after the other; row i is folded[ends[i]:ends[i + 1]]."""
    filled = np.int64(0)
    ends[0] = 0
    for row in range(offsets.size - 1):
        start, place, end = filled, offsets[row], offsets[row + 1]
        while place < end:
            byte = data[place]
            length = np.int64(0) if 0x20 < byte < 0xC2 or byte > 0xE3 else _space(data, place, end)
            if length == 0:
                folded[filled] = byte
                filled += 1
                place += 1
                continue
            if filled > start and folded[filled - 1] != 0x20:
                folded[filled] = 0x20
                filled += 1
            place += length
        if filled > start and folded[filled - 1] == 0x20:
            filled -= 1
        ends[row + 1] = filled
