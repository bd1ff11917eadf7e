"""Clusters: documents that are connected by candidates, however long the chain. No decision crosses a cluster.

That is all a cluster means: it says what must be looked at together, never who is dropped. Clusters are packed
into bins of bounded size, one unit of work each.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.candidates import EDGES
from pipeline.dedup.kernel import NOTHING, OFFSETS, OFFSETS_OUT, kernel

MEMBERS = pa.schema(
    [("document", pa.int64()), ("cluster", pa.int64()), ("rank", pa.int64()), ("bin", pa.int64()), ("open", pa.bool_())],
)
"""A document, the number of its cluster, its place in it, the bin in which it is looked at (or SETTLED), and whether it is decided on."""
SETTLED = -1
BIN_SHINGLES = 8_000_000
"""About what one unit holds at a time: 64 MB of shingles."""


class Clusters:
    """The clusters of documents 0 … count - 1, while edges come in."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def add(self, later: NDArray[np.int64], earliest: NDArray[np.int64]) -> None:
        """Connect later[i] with earliest[i]."""
        _unite(self._parents, later, earliest)

    def roots(self) -> NDArray[np.int64]:
        """The earliest document of everyone's cluster."""
        while not np.array_equal(above := self._parents[self._parents], self._parents):
            self._parents = above
        return self._parents

    def edges(self) -> pa.RecordBatch:
        """Whoever is not the earliest of its cluster, in order, and who is: as EDGES, which make the same clusters."""
        roots = self.roots()
        later = np.flatnonzero(roots != np.arange(roots.size))
        return pa.record_batch([pa.array(later), pa.array(roots[later])], schema=EDGES)

    def members(self, copies: NDArray[np.int64]) -> "Members":
        """The documents that have someone to be compared with. Exact copies are left out: they share the fate of the first of them."""
        documents = np.setdiff1d(np.arange(self._parents.size), copies, assume_unique=True)
        roots = self.roots()[documents]
        counts = np.bincount(roots, minlength=self._parents.size)
        documents, roots = documents[counts[roots] > 1], roots[counts[roots] > 1]
        order = np.lexsort((documents, roots))
        _, starts, clusters = np.unique(roots[order], return_index=True, return_inverse=True)
        return Members(documents=documents[order], clusters=clusters, starts=starts)


@dataclass(frozen=True, kw_only=True)
class Members:
    """The documents of all clusters, cluster by cluster, in order; cluster c begins at starts[c]."""

    documents: NDArray[np.int64]
    clusters: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Each document's place in its cluster."""
        return np.arange(self.documents.size) - self.starts[self.clusters]

    def table(self, shingles: NDArray[np.int64], needed: NDArray[np.bool_], is_open: NDArray[np.bool_]) -> pa.RecordBatch:
        """MEMBERS, in order of the documents. `shingles` weighs a document, if it is needed: of the others all is known."""
        weights = np.bincount(self.clusters, np.where(needed, shingles[self.documents], 0), minlength=self.starts.size)
        before = np.cumsum(weights) - weights
        _, bins = np.unique(before // BIN_SHINGLES, return_inverse=True)
        columns = (self.documents, self.clusters, self.ranks, np.where(needed, bins[self.clusters], SETTLED), is_open)
        return pa.record_batch([pa.array(column) for column in columns], schema=MEMBERS).sort_by("document")


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
