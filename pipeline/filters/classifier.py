"""A linear classifier over hashed n-grams of words and of characters: its features, its training, its answers.

A text is the set of its features, as a vector of length 1: every n-gram present counts the same, however often it
comes and however long the text is. Words are folded (`spelling`); characters are as they stand, with their case and
punctuation, but white space of any kind and length is one space. For Chinese, where a character is a word, both kinds
are n-grams of characters. Imported only by what runs it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import pyarrow as pa
from numba.types import Array, float32, float64, int32, int64, uint8, uint32, uint64, void
from numpy.typing import NDArray

from pipeline.filters.features import FeatureKinds
from pipeline.filters.ngrams import spelled, text_buffers

F = TypeVar("F", bound=Callable[..., Any])
Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Reals = NDArray[np.float64]

SEED, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of FNV-1a
BASE = np.uint64(0x9E3779B97F4A7C15)
BYTES, PLACES, HASHES = Array(uint8, 1, "C", readonly=True), Array(uint32, 1, "C", readonly=True), Array(uint64, 1, "C", readonly=True)
NUMBERS, REALS = Array(int64, 1, "C", readonly=True), Array(float64, 1, "C", readonly=True)
WEIGHTS, ORDERS = Array(float32, 1, "C", readonly=True), Array(int64, 2, "C", readonly=True)
PLACES_OUT, NUMBERS_OUT, REALS_OUT, MARKS_OUT = uint32[::1], int64[::1], float64[::1], int32[::1]
_part = cast("Callable[[F], F]", numba.njit(nogil=True))


def _kernel(signature: Any) -> Callable[[F], F]:
    return cast("Callable[[F], F]", numba.njit(signature, nogil=True, cache=True))


class Features(NamedTuple):
    """The features of some texts, end to end, and where those of each text end."""

    places: NDArray[np.uint32]
    ends: Numbers


def features_of(texts: pa.LargeStringArray, kinds: FeatureKinds) -> Features:
    """Which features each text of a column has."""
    data, offsets = text_buffers(texts)
    found = spelled(texts)
    least, most = kinds.characters or (1, 0)
    room = found.hashes.size * kinds.words + int(offsets[-1] - offsets[0]) * (most - least + 1)
    places, ends = np.empty(room, np.uint32), np.empty(len(texts), np.int64)
    codes = np.empty(int(np.diff(offsets).max(initial=0)), np.uint32)
    seen = np.full(1 << kinds.bits, -1, np.int32)
    _find_features(data, offsets, found.hashes, found.rows, kinds.words, least, most, codes, seen, places, ends)
    return Features(places[: ends[-1] if ends.size else 0].copy(), ends)


def probabilities(features: Features, weights: NDArray[np.float32]) -> Reals:
    """The probability of each text to be good; the last weight is the bias."""
    found = np.empty(features.ends.size, np.float64)
    _score(features.places, features.ends, weights, found)
    return found


def train(features: Features, good: NDArray[np.bool_], orders: Numbers, rate: float, size: int) -> NDArray[np.float32]:
    """Weights [size + 1] of a logistic regression, by stochastic gradient descent: the average over all steps (Polyak and Juditsky, 1992).

    The texts are taken in the orders [epochs, texts], at a rate that falls to 0. The good and the bad ones weigh the same,
    however many there are of each.
    """
    counts = np.array([good.size - good.sum(), good.sum()])
    importance = (good.size / (2 * counts))[good.astype(np.int64)]
    weights, lags = np.zeros(size + 1), np.zeros(size + 1)
    _descend(features.places, features.ends, good.astype(np.float64), importance, orders, rate, weights, lags)
    return (weights - lags / orders.size).astype(np.float32)


@_part
def _mix(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele et al., 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@_part
def _characters(data: NDArray[np.uint8], place: int, end: int, codes: NDArray[np.uint32]) -> int:
    """Write the code points of data[place:end] with each run of ASCII white space as one space; their number.

    A code point is what its lead byte says it is, so every byte is read once, whatever it is.
    """
    count, code, space = 0, 0, False
    for at in range(place, end):
        byte = int(data[at])
        if byte & 0xC0 == 0x80:
            code = (code << 6) | (byte & 0x3F)
            if count:
                codes[count - 1] = code & 0xFFFFFFFF
            continue
        blank = byte == 32 or 9 <= byte <= 13
        if blank and space:
            continue
        space = blank
        code = 32 if blank else byte if byte < 0x80 else byte & 0x1F if byte < 0xE0 else byte & 0x0F if byte < 0xF0 else byte & 0x07
        codes[count] = code
        count += 1
    return count


@_part
def _add(feature: np.uint64, row: int, seen: NDArray[np.int32], places: NDArray[np.uint32], filled: int) -> int:
    """Write a feature unless the row has it already; the new number of features."""
    place = int(_mix(feature) & np.uint64(seen.size - 1))
    if seen[place] == row:
        return filled
    seen[place] = row
    places[filled] = place
    return filled + 1


@_kernel(void(BYTES, NUMBERS, HASHES, NUMBERS, int64, int64, int64, PLACES_OUT, MARKS_OUT, PLACES_OUT, NUMBERS_OUT))
def _find_features(
    data: NDArray[np.uint8],
    offsets: Numbers,
    hashes: Hashes,
    rows: Numbers,
    words: int,
    least: int,
    most: int,
    codes: NDArray[np.uint32],
    seen: NDArray[np.int32],
    places: NDArray[np.uint32],
    ends: Numbers,
) -> None:
    filled = 0
    for row in range(ends.size):
        for first in range(rows[row], rows[row + 1]):
            gram = np.uint64(0)
            for place in range(first, min(first + words, rows[row + 1])):
                gram = gram * BASE + hashes[place]
                filled = _add(gram, row, seen, places, filled)
        count = _characters(data, offsets[row], offsets[row + 1], codes)
        for first in range(count):
            gram = SEED
            for place in range(first, min(first + most, count)):
                gram = (gram ^ np.uint64(codes[place])) * PRIME
                if place - first + 1 >= least:
                    filled = _add(gram, row, seen, places, filled)
        ends[row] = filled


@_kernel(void(PLACES, NUMBERS, WEIGHTS, REALS_OUT))
def _score(places: NDArray[np.uint32], ends: Numbers, weights: NDArray[np.float32], found: Reals) -> None:
    start = 0
    for row in range(ends.size):
        total = 0.0
        for at in range(start, ends[row]):
            total += weights[places[at]]
        bias = weights[weights.size - 1]
        found[row] = 1 / (1 + np.exp(-(total / np.sqrt(max(ends[row] - start, 1)) + bias)))
        start = ends[row]


@_kernel(void(PLACES, NUMBERS, REALS, REALS, ORDERS, float64, REALS_OUT, REALS_OUT))
def _descend(
    places: NDArray[np.uint32],
    ends: Numbers,
    labels: Reals,
    importance: Reals,
    orders: Numbers,
    rate: float,
    weights: Reals,
    lags: Reals,
) -> None:
    """Weights after the last step; less lags / steps they are the average over all steps."""
    bias, step = weights.size - 1, 0
    for epoch in range(orders.shape[0]):
        for row in orders[epoch]:
            start, end = (ends[row - 1] if row else 0), ends[row]
            scale = 1 / np.sqrt(max(end - start, 1))
            total = 0.0
            for at in range(start, end):
                total += weights[places[at]]
            error = labels[row] - 1 / (1 + np.exp(-(total * scale + weights[bias])))
            change = error * importance[row] * rate * (1 - step / orders.size)
            for at in range(start, end):
                weights[places[at]] += change * scale
                lags[places[at]] += change * scale * step
            weights[bias] += change
            lags[bias] += change * step
            step += 1
