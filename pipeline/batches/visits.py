"""The order in which samples of a corpus visit its windows: epoch after epoch, and on into a later state of the corpus.

Where the corpus changes in the middle of an epoch, that epoch goes on with what it has left: the windows that are new, and
those that it has not visited yet, in an order of their own. So nothing comes again before what is new had its turn. It is
still a function with an inverse; a table of the windows that were left, eight bytes each, is made once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.packing import open_stream
from pipeline.batches.permutation import epoch_permutation
from pipeline.tokens.shards import TRAIN, TokenShards

AT_ONCE = 1 << 20
"""So many places of an epoch are looked up at a time."""


@dataclass(frozen=True, eq=False)
class Visits:
    """Which of `count` windows the samples 0, 1, … of a corpus visit: in epoch `first` those that are `left`, then all in every epoch."""

    count: int
    seed: int
    corpus: int
    first: int = 0
    """The number of the first epoch."""
    left: NDArray[np.int64] | None = None
    """The windows that the first epoch has left, in order; None for all of them."""

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows that samples visit."""
        epochs, places = np.divmod(numbers + self._missed, self.count)
        windows = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            mine = epochs == epoch
            windows[mine] = self._visited(epoch, places[mine])
        return windows

    def numbers(self, windows: NDArray[np.int64], drawn: int) -> NDArray[np.int64]:
        """The inverse: those of the first `drawn` samples that visit one of these windows."""
        epochs = range(-(-(drawn + self._missed) // self.count) if len(windows) else 0)
        found = [epoch * self.count - self._missed + self._places(epoch, windows) for epoch in epochs]
        numbers = np.concatenate([np.empty(0, np.int64), *found])
        return numbers[numbers < drawn]

    def progress(self, drawn: int) -> tuple[int, NDArray[np.bool_]]:
        """The number of the epoch that is in progress after so many samples, and which windows it has visited, in all phases."""
        epoch, place = divmod(drawn + self._missed, self.count)
        visited = np.zeros(self.count, np.bool_)
        if epoch == 0 and self.left is not None:
            visited[:] = True
            visited[self.left] = False
        for places in _parts(self._missed if epoch == 0 else 0, place):
            visited[self._visited(epoch, places)] = True
        return self.first + epoch, visited

    @cached_property
    def _missed(self) -> int:
        """The places of the first epoch that were taken before the first sample."""
        return 0 if self.left is None else self.count - len(self.left)

    def _visited(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        if epoch > 0 or self.left is None:
            return epoch_permutation(self.count, self.seed, self.corpus, self.first + epoch)(places)
        chosen = epoch_permutation(len(self.left), self.seed, self.corpus, self.first)(places - self._missed)
        return self.left[chosen]

    def _places(self, epoch: int, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The inverse of `_visited`, for those of the windows that the epoch has left."""
        if epoch > 0 or self.left is None:
            return epoch_permutation(self.count, self.seed, self.corpus, self.first + epoch).inverse(windows)
        chosen = np.flatnonzero(np.isin(self.left, windows))
        return self._missed + epoch_permutation(len(self.left), self.seed, self.corpus, self.first).inverse(chosen)


def _parts(start: int, stop: int) -> Iterator[NDArray[np.int64]]:
    for first in range(start, stop, AT_ONCE):
        yield np.arange(first, min(stop, first + AT_ONCE), dtype=np.int64)


@dataclass(frozen=True)
class Stretch:
    """A token shard as a part of its corpus's stream."""

    checksum: str
    start: int
    length: int


def stretches(tokens: TokenShards, source: str | None) -> list[Stretch]:
    """The shards of a stream, one behind the other; a shard's length is that of the documents of the source, where it is named."""
    found, start = [], 0
    for entry in tokens.files(TRAIN):
        alone = TokenShards(tokens.store, replace(tokens.manifest, files=(entry,)))
        found.append(Stretch(entry.checksum, start, open_stream(alone, TRAIN, source).length))
        start += found[-1].length
    return found


def visited_again(
    visited: NDArray[np.bool_], earlier: Sequence[Stretch], later: Sequence[Stretch], context: int, count: int
) -> NDArray[np.bool_]:
    """Which of the `count` windows of a later state count as visited, given which of an earlier state were.

    A window counts if its first token is in a shard of the earlier state too, and was the first or a later input of a visited
    window. Where all earlier shards stand at the beginning of the later state, these are the very same windows; behind a shard
    that went or changed, windows are cut at other places, and what counts is right to within a window.
    """
    again = np.zeros(count, np.bool_)
    known = {shard.checksum: shard.start for shard in earlier}
    for shard in later:
        if shard.checksum in known:
            first, stop = (min(count, -(-place // context)) for place in (shard.start, shard.start + shard.length))
            then = (np.arange(first, stop) * context - shard.start + known[shard.checksum]) // context
            inside = then < len(visited)
            again[first:stop][inside] = visited[then[inside]]
    return again
