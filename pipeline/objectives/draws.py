"""Random numbers as a function of where they are needed (a counter-based generator; Salmon and others, 2011), never a state.

Only the generator's raw bits are used, which are the same in every version of numpy.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.objectives.base import Place

WORD = (1 << 64) - 1


def training_draws(seed: int, place: Place, row: int, count: int) -> NDArray[np.uint64]:
    """`count` uniform 64-bit numbers for the row that is `row` rows after `place`."""
    generator = np.random.Philox(key=[seed & WORD, place.step], counter=[0, 0, 0, place.row + row])
    return generator.random_raw(count)


def held_out_draws(tokens: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
    """The same for a row of held-out text: its own tokens are the key, so that it is asked the same wherever it stands."""
    digest = hashlib.sha256(tokens.astype("<i8").tobytes()).digest()
    return np.random.Philox(key=np.frombuffer(digest[:16], "<u8").astype(np.uint64)).random_raw(count)


def fractions(draws: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Draws as numbers from 0 to below 1."""
    return (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53


def in_order(draws: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A random order of as many things as there are draws."""
    return np.argsort(draws, kind="stable")
