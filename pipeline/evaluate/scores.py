"""The scores of all examples of a task: their totals, and how sure the metrics are that follow from them."""

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeline.evaluate.base import Ratio
from pipeline.metrics.bootstrap import Floats, Sparse, interval, resampled, share_interval
from pipeline.metrics.sign_test import sign_test


class Scores:
    """Scores, gathered an example at a time. An example has no score of a name that it does not give."""

    def __init__(self) -> None:
        self.count = 0
        self.totals = Counter[str]()
        self._names: dict[str, int] = {}
        self._rows, self._columns, self._values = array("q"), array("q"), array("d")

    def add(self, scores: Mapping[str, float]) -> None:
        """The scores of the next example."""
        self.totals.update(scores)
        for name, value in scores.items():
            column = self._names.setdefault(name, len(self._names))
            if value:
                self._rows.append(self.count)
                self._columns.append(column)
                self._values.append(value)
        self.count += 1

    def intervals(self, ratios: Mapping[str, Ratio]) -> dict[str, tuple[float, float]]:
        """A 95 % confidence interval of each ratio of totals."""
        if not ratios:
            return {}
        draws = resampled(self.table)
        return {name: share_interval(self.ratio(draws, ratio), self._below(ratio)) for name, ratio in ratios.items()}

    def _below(self, ratio: Ratio) -> float:
        """What a ratio is of: examples, or what is counted instead."""
        return self.count if ratio.below is None else self.totals[ratio.below]

    def less(self, other: "Scores", ratios: Mapping[str, Ratio]) -> dict[str, "Difference"]:
        """By how much ratios exceed those of another model on the same examples: they are drawn together, so what both find hard
        makes neither look worse."""
        own, shift = self.table, len(self._names)
        columns = np.concatenate((own.columns, other.table.columns + shift))
        both = Sparse(
            rows=np.concatenate((own.rows, other.table.rows)),
            columns=columns,
            values=np.concatenate((own.values, other.table.values)),
            examples=self.count,
            width=shift + other.table.width,
        )
        draws, everything = resampled(both), both.totals()[None]
        found = {}
        for name, ratio in ratios.items():
            exceeds, drawn = (
                self.ratio(totals[:, :shift], ratio) - other.ratio(totals[:, shift:], ratio) for totals in (everything, draws)
            )
            found[name] = Difference(float(exceeds[0]), *interval(drawn), self._sign(other, ratio.above))
        return found

    def _sign(self, other: "Scores", name: str) -> float:
        """The sign test of a score."""
        one, another = (scores.table.column(scores._names[name]) for scores in (self, other))
        return sign_test(int((one > another).sum()), int((one < another).sum()))

    @property
    def table(self) -> Sparse:
        """All scores as numbers."""
        rows, columns = np.frombuffer(self._rows, np.int64), np.frombuffer(self._columns, np.int64)
        return Sparse(rows, columns, np.frombuffer(self._values, np.float64), self.count, len(self._names))

    def ratio(self, draws: Floats, ratio: Ratio) -> Floats:
        """A metric in every draw of totals [resamples, names]; NaN where nothing was drawn that it is about."""
        below = self.count if ratio.below is None else draws[:, self._names[ratio.below]]
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = draws[:, self._names[ratio.above]] / below
        return found


class Difference(NamedTuple):
    """How much greater a metric is, the 95 % confidence interval of that, and the sign test's p over examples."""

    difference: float
    low: float
    high: float
    p: float
