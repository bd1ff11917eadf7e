"""A keyed permutation of 0 … size − 1 that needs no table: any place is found in either direction at once.

A Feistel network over a · b ≥ size pairs with modular addition, and cycle-walking for the few pairs beyond the
size (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002). Not for secrets: its rounds are a hash.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Permutation:
    """A bijection of 0 … size − 1; another one for every `key`. Arrays in, arrays of the same shape out (int64)."""

    size: int
    key: str

    def __call__(self, places: Indices) -> Indices:
        """Where each place goes."""
        return self._walk(places, self._forward)

    def inverse(self, places: Indices) -> Indices:
        """Which place goes there."""
        return self._walk(places, self._backward)

    @cached_property
    def _sides(self) -> tuple[np.uint64, np.uint64]:
        """a and b: a · b is the size, or less than a beyond it."""
        first = math.isqrt(max(self.size - 1, 0)) + 1
        return np.uint64(first), np.uint64(-(-self.size // first))

    @cached_property
    def _round_keys(self) -> NDArray[np.uint64]:
        digest = hashlib.blake2b(f"{self.key}/{self.size}".encode(), digest_size=8 * ROUNDS)
        return np.frombuffer(digest.digest(), dtype="<u8")

    def _forward(self, pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
        a, b = self._sides
        left, right = pairs // b, pairs % b
        for number in range(0, ROUNDS, 2):
            left = (left + _mix(right, self._round_keys[number]) % a) % a
            right = (right + _mix(left, self._round_keys[number + 1]) % b) % b
        return left * b + right

    def _backward(self, pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
        a, b = self._sides
        left, right = pairs // b, pairs % b
        for number in reversed(range(0, ROUNDS, 2)):
            right = (right + b - _mix(left, self._round_keys[number + 1]) % b) % b
            left = (left + a - _mix(right, self._round_keys[number]) % a) % a
        return left * b + right

    def _walk(self, places: Indices, turn: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> Indices:
        """Turn until inside: a place beyond the size is only a station on the way of one inside."""
        found = turn(np.asarray(places).astype(np.uint64))
        outside = found >= np.uint64(self.size)
        while outside.any():
            found[outside] = turn(found[outside])
            outside = found >= np.uint64(self.size)
        return found.astype(np.int64)


@lru_cache(maxsize=64)
def epoch_permutation(size: int, seed: int, corpus: int, epoch: int) -> Permutation:
    """The order in which an epoch visits the windows of a corpus."""
    return Permutation(size, f"{seed}/{corpus}/{epoch}")


def _mix(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    """64 well-mixed bits of a value and a key (the finaliser of SplitMix64; Steele et al., 2014)."""
    mixed = values ^ key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
