"""Confidence intervals by drawing the examples again, with replacement: the bootstrap with percentiles (Efron, 1979)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
NORMAL = 1.959963984540054
"""The deviation that a normal variable stays within at that level."""
SEED = 0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sparse:
    """Numbers of examples, of which most are 0: `values` [nonzero], each in a row (an example) and a column.

    There are `examples` rows and `width` columns.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats
    examples: int
    width: int

    def totals(self, weights: Floats | None = None) -> Floats:
        """The total of each column [width], where each row counts as often as its weight says; added in order, so the same everywhere."""
        values = self.values if weights is None else self.values * weights[self.rows]
        found: Floats = np.bincount(self.columns, values, self.width).astype(np.float64)
        return found

    def column(self, place: int) -> Floats:
        """A column of every row [examples]."""
        found: Floats = np.zeros(self.examples)
        own = self.columns == place
        found[self.rows[own]] = self.values[own]
        return found


def resampled(table: Sparse, resamples: int = RESAMPLES) -> Floats:
    """The totals of as many examples drawn with replacement [resamples, width]: in one draw, the same examples in every column."""
    random = np.random.default_rng(SEED)
    drawn = np.empty((resamples, table.width))
    for place in range(resamples):
        counts = np.bincount(random.integers(table.examples, size=table.examples), minlength=table.examples)
        drawn[place] = table.totals(counts.astype(np.float64))
    return drawn


def interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of what was drawn [resamples]; draws in which a figure means nothing (NaN) are left out."""
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_interval(draws: Floats, examples: float) -> tuple[float, float]:
    """The same of a ratio that may be a share of so many examples.

    Where every example scores 0, or every one 1, drawing them again cannot tell how sure that is: then it is the interval of a share
    by Wilson (1927).
    """
    low, high = interval(draws)
    if low == high and low in (0, 1):
        unsure = NORMAL**2 / (examples + NORMAL**2)
        return (0.0, unsure) if low == 0 else (1 - unsure, 1.0)
    return low, high
