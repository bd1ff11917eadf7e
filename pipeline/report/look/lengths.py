"""Lengths of documents, counted in bins that are eighths of a doubling: sums of counts, of however many parts, lose nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EIGHTHS, DOUBLINGS = 8, 40
EDGES = tuple(sorted({0, *(-int(-(2 ** (place / EIGHTHS)) // 1) for place in range(EIGHTHS * DOUBLINGS))}))
"""Bin i holds the lengths from EDGES[i] on, and below EDGES[i + 1]. Up to eight, every length has one of its own."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Lengths:
    """How many documents are how long."""

    total: int = 0
    longest: int = 0
    bins: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.bins.total()

    def add(self, values: "NDArray[np.int64]") -> None:
        """Count lengths, none of them negative."""
        import numpy as np

        if values.size:
            self.total += int(values.sum())
            self.longest = max(self.longest, int(values.max()))
            places, counts = np.unique(np.searchsorted(EDGES, values, side="right") - 1, return_counts=True)
            self.bins.update(dict(zip(places.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: "Lengths") -> None:
        self.total += other.total
        self.longest = max(self.longest, other.longest)
        self.bins.update(other.bins)

    def quantile(self, part: float) -> int:
        """About the length that so many documents do not exceed: within a bin's width, which is a twelfth. 0 of none."""
        rank = part * self.count
        below = 0
        for place, count in sorted(self.bins.items()):
            if below + count >= rank:
                low, high = EDGES[place], min(_end(place), self.longest + 1)
                return min(round(low + (high - 1 - low) * (rank - below) / count), self.longest)
            below += count
        return 0

    def summary(self) -> dict[str, Any]:
        """Mean, quantiles and the longest, and the counts as [from, documents] pairs."""
        quantiles = {f"{100 * part:.0f}%": self.quantile(part) for part in QUANTILES}
        mean = round(self.total / self.count, 1) if self.count else 0.0
        return {"mean": mean, **quantiles, "longest": self.longest, "histogram": [[EDGES[place], count] for place, count in self]}

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(sorted(self.bins.items()))

    def to_json(self) -> dict[str, Any]:
        return {"total": self.total, "longest": self.longest, "bins": {str(place): count for place, count in self}}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Lengths":
        return cls(found["total"], found["longest"], Counter({int(place): count for place, count in found["bins"].items()}))


def _end(place: int) -> int:
    return EDGES[place + 1] if place + 1 < len(EDGES) else 2 * EDGES[-1]


def doublings(lengths: Lengths) -> dict[int, int]:
    """Documents by doubling of their length: those at n are 2ⁿ … 2ⁿ⁺¹ - 1 long, and what is empty is at 0."""
    found = Counter[int]()
    for place, count in lengths:
        found[max(EDGES[place], 1).bit_length() - 1] += count
    return dict(sorted(found.items()))
