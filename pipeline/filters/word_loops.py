"""The loops over words and n-grams of words, compiled. Imported only by what runs them.

Their constants stand here because numba takes them into its compiled code, and looks at no other file to see whether
that is still good.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.types import Array, boolean, int64, uint8, uint32, uint64, void
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

CODE, MARK, ALONE = (1 << 21) - 1, 1 << 30, 1 << 31
"""A letter of a spelling: its code point and flags (it continues the word before it; it is a word by itself). 0 ends a word."""
COUNT_BITS = 3
SEED, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of FNV-1a
BASE = np.uint64(0x9E3779B97F4A7C15)
"""A run of words has the hash of a polynomial of their hashes, so that the next run's follows in constant time (Karp and Rabin, 1987)."""

BYTES, TABLE = Array(uint8, 1, "C", readonly=True), Array(uint32, 1, "C", readonly=True)
NUMBERS, HASHES = Array(int64, 1, "C", readonly=True), Array(uint64, 1, "C", readonly=True)
LETTERS_OUT, NUMBERS_OUT, HASHES_OUT, FLAGS_OUT = uint32[::1], int64[::1], uint64[::1], boolean[::1]
_part = cast("Callable[[F], F]", numba.njit(nogil=True))


def _kernel(signature: Any) -> Callable[[F], F]:
    return cast("Callable[[F], F]", numba.njit(signature, nogil=True, cache=True))


@_part
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


@_part
def _mix(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele et al., 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@_part
def _spell(
    data: NDArray[np.uint8],
    place: int,
    end: int,
    places: NDArray[np.uint32],
    spelling: NDArray[np.uint32],
    letters: NDArray[np.uint32],
    bounds: Numbers,
    hashes: Hashes,
    filled: int,
) -> int:
    """Write the words of data[place:end], from word number `filled` on; the new number of words."""
    written = bounds[filled]
    word, inside, single = SEED, False, False
    while place < end:
        code, place = _decode(data, place, end)
        entry = int(places[code]) if code < places.size else 0
        first = entry >> COUNT_BITS
        for which in range(first, first + (entry & ((1 << COUNT_BITS) - 1))):
            letter = int(spelling[which])
            mark, alone = letter & MARK != 0, letter & ALONE != 0
            if inside and (letter == 0 or (not mark and (alone or single))):
                hashes[filled] = _mix(word)
                filled += 1
                bounds[filled] = written
                inside = False
            if letter == 0 or (mark and not inside):
                continue
            if not inside:
                word, inside, single = SEED, True, alone
            word = (word ^ np.uint64(letter & CODE)) * PRIME
            letters[written] = letter
            written += 1
    if inside:
        hashes[filled] = _mix(word)
        filled += 1
        bounds[filled] = written
    return filled


@_kernel(void(BYTES, NUMBERS, TABLE, TABLE, LETTERS_OUT, NUMBERS_OUT, HASHES_OUT, NUMBERS_OUT))
def spell_rows(
    data: NDArray[np.uint8],
    offsets: Numbers,
    places: NDArray[np.uint32],
    spelling: NDArray[np.uint32],
    letters: NDArray[np.uint32],
    bounds: Numbers,
    hashes: Hashes,
    rows: Numbers,
) -> None:
    """Write the words of all texts, end to end."""
    for row in range(offsets.size - 1):
        rows[row + 1] = _spell(data, offsets[row], offsets[row + 1], places, spelling, letters, bounds, hashes, rows[row])


@_part
def _bits(gram: np.uint64) -> np.uint64:
    """Three of 64 bits, chosen by the low bits of a hash."""
    one, six, low = np.uint64(1), np.uint64(6), np.uint64(63)
    return (one << (gram & low)) | (one << ((gram >> six) & low)) | (one << ((gram >> (six + six)) & low))


@_part
def _slot(gram: np.uint64, size: int) -> int:
    """The word of the filter (of `size`, a power of two) for a hash, by its high bits."""
    return int(gram >> np.uint64(32)) & (size - 1)


@_kernel(void(HASHES, HASHES_OUT))
def fill(hashes: Hashes, passing: Hashes) -> None:
    """Let hashes pass a filter: three bits of one of its words for each (a Bloom filter in blocks; Putze et al., 2007)."""
    for gram in hashes:
        passing[_slot(gram, passing.size)] |= _bits(gram)


@_part
def _is_known(gram: np.uint64, known: Hashes) -> bool:
    low, high = 0, known.size
    while low < high:
        middle = (low + high) >> 1
        if known[middle] < gram:
            low = middle + 1
        else:
            high = middle
    return low < known.size and known[low] == gram


@_part
def _any_known(hashes: Hashes, words: int, length: int, known: Hashes, passing: Hashes) -> bool:
    """Whether a run of `length` of the first `words` words is known."""
    gram, leaving = np.uint64(0), np.uint64(1)
    for _ in range(length):
        leaving *= BASE
    for place in range(words if known.size else 0):
        gram = gram * BASE + hashes[place]
        if place >= length:
            gram -= hashes[place - length] * leaving
        if place >= length - 1:
            bits = _bits(gram)
            if passing[_slot(gram, passing.size)] & bits == bits and _is_known(gram, known):
                return True
    return False


@_kernel(void(BYTES, NUMBERS, TABLE, TABLE, int64, HASHES, HASHES, int64, HASHES, HASHES, LETTERS_OUT, NUMBERS_OUT, HASHES_OUT, FLAGS_OUT))
def find_suspects(
    data: NDArray[np.uint8],
    offsets: Numbers,
    places: NDArray[np.uint32],
    spelling: NDArray[np.uint32],
    length: int,
    known: Hashes,
    passing: Hashes,
    other_length: int,
    other_known: Hashes,
    other_passing: Hashes,
    letters: NDArray[np.uint32],
    bounds: Numbers,
    hashes: Hashes,
    found: NDArray[np.bool_],
) -> None:
    """Flag the texts in which a run of `length` words, or one of `other_length`, has a known hash."""
    for row in range(found.size):
        words = _spell(data, offsets[row], offsets[row + 1], places, spelling, letters, bounds, hashes, 0)
        found[row] = _any_known(hashes, words, length, known, passing) or _any_known(
            hashes, words, other_length, other_known, other_passing
        )


@_part
def _same_words(
    letters: NDArray[np.uint32],
    bounds: Numbers,
    word: int,
    other_letters: NDArray[np.uint32],
    other_bounds: Numbers,
    other_word: int,
    length: int,
) -> bool:
    """Whether `length` words are the same, letter by letter."""
    start, other = bounds[word], other_bounds[other_word]
    ends, other_ends = bounds[word : word + length + 1], other_bounds[other_word : other_word + length + 1]
    size = ends[length] - start
    return np.array_equal(ends - start, other_ends - other) and np.array_equal(
        letters[start : start + size], other_letters[other : other + size]
    )


@_kernel(int64(TABLE, NUMBERS, NUMBERS, NUMBERS, NUMBERS, TABLE, NUMBERS, NUMBERS, int64, NUMBERS_OUT))
def verify(
    letters: NDArray[np.uint32],
    bounds: Numbers,
    places: Numbers,
    since: Numbers,
    until: Numbers,
    other_letters: NDArray[np.uint32],
    other_bounds: Numbers,
    words: Numbers,
    length: int,
    found: Numbers,
) -> int:
    """Write the places of the n-grams that are the same as the text's, of those between since[i] and until[i] with that at places[i]."""
    count = 0
    for hit in range(places.size):
        for entry in range(since[hit], until[hit]):
            if _same_words(letters, bounds, places[hit], other_letters, other_bounds, words[entry], length):
                found[count] = entry
                count += 1
    return count
