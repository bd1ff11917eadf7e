"""The documents that a tokenizer is trained on: as many as fit in so many bytes, chosen by a hash of their ids.

The choice is a function of the ids and texts alone: not of the order in which shards are read, nor of how many there are.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.tokens.split import Split, hashes_of

SALT = "tokenizer sample"
LARGEST_SHARE = 64
"""No document gives more than a 64th of the sample: one very long document must not stand for all others."""


@dataclass
class Sample:
    """The beginnings of the documents with the smallest hashes, at most `limit` bytes (UTF-8) together."""

    limit: int
    size: int = 0  # bytes held
    bound: int = 2**64 - 1  # documents from this hash on are out
    heap: list[tuple[int, str, bytes]] = field(default_factory=list)  # (−hash, id, text)

    def add(self, batch: pa.RecordBatch, split: Split) -> None:
        """Offer a batch of documents; what `split` holds out is passed over."""
        batch, held_out = split.parted(batch)
        ids = batch.column("id").to_pylist()
        ranks = hashes_of(ids, SALT)
        texts = batch.column("text")
        for row in np.flatnonzero((ranks < np.uint64(self.bound)) & ~held_out).tolist():
            if ranks[row] < self.bound:
                self._take(int(ranks[row]), ids[row], texts[row].as_py())

    def _take(self, rank: int, document_id: str, text: str) -> None:
        part = text.encode()[: self.limit // LARGEST_SHARE]
        heapq.heappush(self.heap, (-rank, document_id, part))
        self.size += len(part)
        while self.size > self.limit:
            rank, _, part = heapq.heappop(self.heap)
            self.size -= len(part)
            self.bound = min(self.bound, -rank)

    def texts(self) -> Iterator[str]:
        """The sampled texts; a character that was cut in two is left out."""
        for _, _, part in self.heap:
            yield part.decode("utf-8", "ignore")


def sample_of(batches: Iterable[pa.RecordBatch], split: Split, limit: int) -> Sample:
    """The sample of a corpus, in one pass and in `limit` bytes of memory and those of one batch."""
    sample = Sample(limit)
    for batch in batches:
        sample.add(batch, split)
    return sample
