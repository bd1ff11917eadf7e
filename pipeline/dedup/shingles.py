"""The shingles of a document: hashes of every run of `width` neighbouring words (or characters).

A document with fewer words than that is one shingle of all of them; one where nothing is to be seen has none.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.kernel import BOOLEAN, BYTES, HASHES_OUT, INTEGER, NOTHING, OFFSETS, OFFSETS_OUT, TABLE, kernel, part
from pipeline.dedup.letters import ALONE, CODE, MARK, SYMBOL, letter_table

SEED, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of FNV-1a
BASE = np.uint64(0x9E3779B97F4A7C15)
FIRST_IDEOGRAPH, LAST_IDEOGRAPH = 0x20000, 0x3FFFF
Buffers = tuple[NDArray[np.uint8], NDArray[np.int64]]


def text_buffers(texts: pa.LargeStringArray) -> Buffers:
    """The UTF-8 bytes of an Arrow column, and its len + 1 offsets into them, without a copy."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1] if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), ends


def shingles(buffers: Buffers, rows: NDArray[np.int64], width: int, characters: bool) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of the shingles of some rows, in order and with repetitions, and where each row's end."""
    data, offsets = buffers
    size = int((offsets[rows + 1] - offsets[rows]).sum())
    hashes, ends = np.empty(size, np.uint64), np.empty(rows.size, np.int64)
    _shingle(data, offsets, rows, letter_table(), characters, width, hashes, ends)
    return hashes, ends


@part
def _mix(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele et al., 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


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
def _letter(code: int, letters: NDArray[np.uint32]) -> int:
    """The entry of the letter table for a code point; above the table there are only ideographs."""
    if code < letters.size:
        return int(letters[code])
    return code | ALONE if FIRST_IDEOGRAPH <= code <= LAST_IDEOGRAPH else 0


@part
def _words(
    data: NDArray[np.uint8],
    place: int,
    end: int,
    letters: NDArray[np.uint32],
    ignored: int,
    characters: bool,
    hashes: NDArray[np.uint64],
    filled: int,
) -> int:
    """Write a hash for each word of data[place:end] (or for each letter with its marks) from hashes[filled] on; the new end.

    Letters with the flag `ignored` stand between words.
    """
    word, inside, single = SEED, False, False
    while place < end:
        code, place = _decode(data, place, end)
        letter = _letter(code, letters)
        if letter & ignored:
            letter = 0
        mark, alone = letter & MARK != 0, characters or letter & ALONE != 0
        if inside and (letter == 0 or (not mark and (alone or single))):
            hashes[filled] = _mix(word)
            filled += 1
            inside = False
        if letter != 0:
            if not inside:
                word, inside, single = SEED, True, alone
            word = (word ^ np.uint64(letter & CODE)) * PRIME
    if inside:
        hashes[filled] = _mix(word)
        filled += 1
    return filled


@part
def _join_words(hashes: NDArray[np.uint64], start: int, end: int, width: int) -> int:
    """Turn the word hashes of hashes[start:end] into those of shingles, in place; the new end.

    A shingle is a polynomial of its words, so the next one follows from it in constant time (Karp and Rabin, 1987).
    """
    words = end - start
    width = min(width, words)
    shingle, leaving = np.uint64(0), np.uint64(1)
    for place in range(start, start + width):
        shingle = shingle * BASE + hashes[place]
        leaving *= BASE
    for place in range(start, end - width + (width > 0)):
        first = hashes[place]
        hashes[place] = _mix(shingle)
        if place + width < end:
            shingle = shingle * BASE + hashes[place + width] - first * leaving
    return end - max(width - 1, 0)


@kernel(NOTHING(BYTES, OFFSETS, OFFSETS, TABLE, BOOLEAN, INTEGER, HASHES_OUT, OFFSETS_OUT))
def _shingle(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    letters: NDArray[np.uint32],
    characters: bool,
    width: int,
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> None:
    filled = 0
    for place in range(rows.size):
        row = rows[place]
        end = _words(data, offsets[row], offsets[row + 1], letters, SYMBOL, characters, hashes, filled)
        if end == filled:
            end = _words(data, offsets[row], offsets[row + 1], letters, 0, characters, hashes, filled)
        filled = _join_words(hashes, filled, end, width)
        ends[place] = filled
