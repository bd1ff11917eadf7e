"""Windows: stretches of a fixed number of bytes, chosen by nothing but what stands in them.

A window is chosen if the least hash of its grams (half as long) is that of its first or its last one: a closed syncmer (Edgar, 2021).
So equal windows are chosen everywhere or nowhere, and of the windows that begin at `reach` + 1 neighbouring places one is chosen
always: what two texts have in common over `length` + `reach` bytes holds a chosen window. About two in `reach` are.

A text that repeats itself with a period under `length` would have chosen windows without end. One that equals one of the last few
noted before it, which it overlaps, is left out: that one stands for it.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.digest import digests
from pipeline.dedup.kernel import BYTES, BYTES_OUT, INTEGER, NOTHING, OFFSETS, OFFSETS_OUT, kernel, part
from pipeline.dedup.passages import PLACES, Passages
from pipeline.dedup.shingles import Buffers

BASE = np.uint64(0x9E3779B97F4A7C15)
REMEMBERED = 4


def gram(length: int) -> int:
    """The bytes of a gram in windows of `length` bytes."""
    return length // 2


def reach(length: int) -> int:
    """How far a place is at the most from the start of a chosen window, in a text that goes on."""
    return length - gram(length)


def window_passages(buffers: Buffers, length: int) -> Passages:
    """The chosen windows of `length` bytes of every row."""
    data, offsets = buffers
    chosen = np.zeros(int(offsets[-1] - offsets[0]), np.uint8)
    counts, ink = np.empty(offsets.size - 1, np.int64), np.empty(offsets.size - 1, np.int64)
    found = _choose(data, offsets, length, gram(length), chosen)
    places = np.empty((found, len(PLACES)), np.int64)
    _locate(data, offsets, length, chosen, places.reshape(-1), counts, ink)
    starts = np.repeat(offsets[:-1], counts) + places[:, 0]
    return Passages(counts=counts, ink=ink, places=places, digests=digests(data, starts, starts + length))


@part
def _mix(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele et al., 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@part
def _power(exponent: int) -> np.uint64:
    found = np.uint64(1)
    for _ in range(exponent):
        found *= BASE
    return found


@kernel(INTEGER(BYTES, OFFSETS, INTEGER, INTEGER, BYTES_OUT))
def _choose(data: NDArray[np.uint8], offsets: NDArray[np.int64], length: int, size: int, chosen: NDArray[np.uint8]) -> int:
    """Set an entry of chosen[] (one a byte of all rows) to 1 where a chosen window begins; the number of windows. `size` is that of a gram.

    Hashes roll (Karp and Rabin, 1987). The grams that may yet be the least of a window stand in a queue, in order of place and of hash.
    """
    ring = 1
    while ring <= length - size:
        ring *= 2
    hashes, places = np.empty(ring, np.uint64), np.empty(ring, np.int64)
    recent, recent_places = np.zeros(REMEMBERED, np.uint64), np.full(REMEMBERED, offsets[0] - length)
    leaving_gram, leaving_window = _power(size), _power(length)
    found = 0
    for row in range(offsets.size - 1):
        first, head, tail = offsets[row], 0, 0
        rolling = window = np.uint64(0)
        for place in range(first, offsets[row + 1]):
            rolling = rolling * BASE + np.uint64(data[place])
            window = window * BASE + np.uint64(data[place])
            last, start = place - size + 1, place - length + 1
            if last > first:
                rolling -= leaving_gram * np.uint64(data[last - 1])
            if start > first:
                window -= leaving_window * np.uint64(data[start - 1])
            if last < first:
                continue
            gram_hash = _mix(rolling)
            while tail > head and hashes[(tail - 1) & (ring - 1)] > gram_hash:
                tail -= 1
            if tail > head and places[head & (ring - 1)] < start:
                head += 1
            hashes[tail & (ring - 1)], places[tail & (ring - 1)] = gram_hash, last
            tail += 1
            if start < first or (places[head & (ring - 1)] != start and hashes[head & (ring - 1)] != gram_hash):
                continue
            known = False
            for slot in range(REMEMBERED):
                known |= recent[slot] == window and recent_places[slot] + length > start
            if not known:
                recent[found % REMEMBERED], recent_places[found % REMEMBERED] = window, start
                chosen[start - offsets[0]] = 1
                found += 1
    return found


@kernel(NOTHING(BYTES, OFFSETS, INTEGER, BYTES, OFFSETS_OUT, OFFSETS_OUT, OFFSETS_OUT))
def _locate(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    length: int,
    chosen: NDArray[np.uint8],
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
    ink: NDArray[np.int64],
) -> None:
    """Write the columns of PLACES of each chosen window one after the other, and the windows and the ink of each row."""
    filled = 0
    for row in range(offsets.size - 1):
        first, before = offsets[row], filled
        ink_start = ink_end = 0
        for place in range(first, offsets[row + 1]):
            ink_end += data[place] > 0x20
            start = place - length + 1
            if start < first:
                continue
            if chosen[start - offsets[0]]:
                places[filled], places[filled + 1] = start - first, place + 1 - first
                places[filled + 2], places[filled + 3] = ink_start, ink_end
                filled += 4
            ink_start += data[start] > 0x20
        counts[row], ink[row] = (filled - before) // 4, ink_end
