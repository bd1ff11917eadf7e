"""The vectors of documents: how the hidden states of a text become one, the tables that hold them, and which are nearest to one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.workflow.artifact import Artifact

VECTORS = "vectors"
Floats = NDArray[np.float32]
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How the hidden states of a text become one vector."""

    layer: int = -1
    """The layer whose states are taken, from 0 (the embedding); -1 is the last one."""
    pool: Literal["mean", "first", "last"] = "mean"
    """The mean over all tokens, or the state of the first or last one. For first, the model must put a token such as [CLS] in front:
    the encoders that are trained here do not."""
    unit_length: bool = False
    """Divide each vector by its Euclidean length, so that products of vectors are cosines."""

    def __post_init__(self) -> None:
        if self.pool not in ("mean", "first", "last"):
            raise RequestError(f"pool is {self.pool!r}: use mean, first or last")

    def vector(self, windows: Sequence[Floats]) -> Floats:
        """The vector [D] of a text from the states [T, D] of its windows: each window's own, weighted by its tokens."""
        weighted = [len(states) * self._pooled(states) for states in windows]
        vector: NDArray[np.float64] = np.sum(weighted, axis=0) / sum(map(len, windows))
        if self.unit_length:
            vector /= max(float(np.linalg.norm(vector)), TINY)
        return vector.astype(np.float32)

    def _pooled(self, states: Floats) -> NDArray[np.float64]:
        chosen = {"first": states[:1], "last": states[-1:], "mean": states}[self.pool]
        mean: NDArray[np.float64] = chosen.mean(axis=0, dtype=np.float64)
        return mean


class Vectors(Artifact):
    """The vectors of documents, in the documents' order: Parquet files that any reader opens."""

    def tables(self) -> Iterator[pa.Table]:
        """The ids, origins and vectors, a file at a time."""
        for entry in self.files(VECTORS):
            yield pq.read_table(self.local(entry), columns=["id", "origin", "vector"])


@dataclass(frozen=True)
class Neighbour:
    """A document, and the cosine of its vector with another."""

    id: str
    origin: str
    cosine: float


def nearest(vectors: Vectors, vector: Floats, most: int) -> list[Neighbour]:
    """The documents whose vectors are most like one, the nearest first."""
    found: list[Neighbour] = []
    for table in vectors.tables():
        rows = table["vector"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
        cosines = rows @ vector / np.maximum(lengths, TINY)
        rows_of = zip(table["id"].to_pylist(), table["origin"].to_pylist(), cosines.tolist(), strict=True)
        found += [Neighbour(*row) for row in rows_of]
        found = sorted(found, key=lambda row: (-row.cosine, row.origin))[:most]
    return found
