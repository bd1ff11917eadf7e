"""Clusters: documents that are connected by candidates, however long the chain. No decision crosses a cluster.

That is all a cluster means: it says what must be looked at together, never who is dropped. Clusters are packed
into bins of bounded size, one unit of work each.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.kernel import NOTHING, OFFSETS, OFFSETS_OUT, kernel

MEMBERS = pa.schema([("document", pa.int64()), ("bin", pa.int64())])
BIN_SHINGLES = 8_000_000
"""About what one unit holds at a time: 64 MB of shingles."""


class Clusters:
    """The clusters of documents 0 … count - 1, while edges come in."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def add(self, later: NDArray[np.int64], earliest: NDArray[np.int64]) -> None:
        """Connect later[i] with earliest[i]."""
        _unite(self._parents, later, earliest)

    def bins(self, shingles: NDArray[np.int64], copies: NDArray[np.int64]) -> pa.RecordBatch:
        """The documents that have someone to be compared with, in order, and the bin of each.

        `shingles` weighs a document. Exact copies are left out: they share the fate of the first of them.
        """
        documents = np.setdiff1d(np.arange(self._parents.size), copies, assume_unique=True)
        clusters = _roots(self._parents)[documents]
        members = np.bincount(clusters, minlength=self._parents.size)
        documents, clusters = documents[members[clusters] > 1], clusters[members[clusters] > 1]
        weights = np.bincount(clusters, shingles[documents], minlength=self._parents.size)
        before = np.cumsum(weights) - weights
        _, bins = np.unique(before[clusters] // BIN_SHINGLES, return_inverse=True)
        return pa.record_batch([pa.array(documents), pa.array(bins)], schema=MEMBERS)


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The earliest document of everyone's cluster."""
    while not np.array_equal(above := parents[parents], parents):
        parents = above
    return parents


@kernel(NOTHING(OFFSETS_OUT, OFFSETS, OFFSETS))
def _unite(parents: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    """Union-find with path halving (Tarjan and van Leeuwen, 1984); the earliest document is the root."""
    for edge in range(left.size):
        one, other = left[edge], right[edge]
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        while parents[other] != other:
            parents[other] = parents[parents[other]]
            other = parents[other]
        parents[max(one, other)] = min(one, other)
