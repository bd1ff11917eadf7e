"""How sure a metric is that follows from totals over rows: the bootstrap over rows (Efron, 1979), at the price of one matrix product."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
BLOCK = 1 << 22
"""Counts that are drawn at once."""
Totals = Mapping[str, float]
Table: TypeAlias = NDArray[np.float64]


def summed(scores: Sequence[Totals]) -> dict[str, float]:
    """The totals of scores, and `n`, how many they are."""
    names = dict.fromkeys(name for score in scores for name in score)
    return {**{name: float(sum(score.get(name, 0.0) for score in scores)) for name in names}, "n": float(len(scores))}


def with_intervals(scores: Sequence[Totals], metrics: Callable[[Totals], Mapping[str, float]], seed: int = 0) -> dict[str, float]:
    """The metrics of all scores, and for each the 2.5 and 97.5 percent quantiles over resampled rows, as NAME_low and NAME_high."""
    found = dict(metrics(summed(scores)))
    names = list(dict.fromkeys(name for score in scores for name in score))
    table = np.array([[score.get(name, 0.0) for name in names] for score in scores], dtype=np.float64)
    draws = [
        metrics(dict(zip((*names, "n"), (*map(float, totals), float(len(scores))), strict=True))) for totals in _resampled(table, seed)
    ]
    for name in list(found):
        low, high = np.percentile([draw[name] for draw in draws], (2.5, 97.5))
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return {**found, "n": len(scores)}


def _resampled(table: Table, seed: int) -> Table:
    """The totals of RESAMPLES resamples of the rows: how often each row is drawn, times what it scores."""
    random, rows = np.random.default_rng(seed), len(table)
    at_once = max(1, BLOCK // rows)
    parts = []
    for first in range(0, RESAMPLES, at_once):
        draws = random.multinomial(rows, np.full(rows, 1 / rows), size=min(at_once, RESAMPLES - first))
        parts.append(draws.astype(np.float64) @ table)
    return np.concatenate(parts)
