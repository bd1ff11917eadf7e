"""Metrics that follow from totals over rows, and how sure they are."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.metrics.bootstrap import Sparse, interval, resampled

Totals = Mapping[str, float]


def summed(scores: Sequence[Totals]) -> dict[str, float]:
    """The totals of scores, and `n`, how many they are."""
    names = dict.fromkeys(name for score in scores for name in score)
    return {**{name: float(sum(score.get(name, 0.0) for score in scores)) for name in names}, "n": float(len(scores))}


def with_intervals(scores: Sequence[Totals], metrics: Callable[[Totals], Mapping[str, float]]) -> dict[str, float]:
    """The metrics of all scores, and for each the middle 95 % over resampled rows, as NAME_low and NAME_high."""
    found = dict(metrics(summed(scores)))
    names = list(dict.fromkeys(name for score in scores for name in score))
    count = float(len(scores))
    draws = [metrics({**dict(zip(names, map(float, totals), strict=True)), "n": count}) for totals in resampled(_table(scores, names))]
    for name in list(found):
        found[f"{name}_low"], found[f"{name}_high"] = interval(np.array([draw[name] for draw in draws]))
    return {**found, "n": len(scores)}


def _table(scores: Sequence[Totals], names: Sequence[str]) -> Sparse:
    """A row a score, a column a name."""
    place = {name: column for column, name in enumerate(names)}
    cells = [(row, place[name], value) for row, score in enumerate(scores) for name, value in score.items() if value]
    rows, columns, values = zip(*cells, strict=True) if cells else ((), (), ())
    return Sparse(np.array(rows, np.int64), np.array(columns, np.int64), np.array(values, np.float64), len(scores), len(names))
