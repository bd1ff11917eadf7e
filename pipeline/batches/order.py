"""The order of training data as a function: (manifests, seed, step) → the exact samples, and back.

There is nothing to save and nothing to lose: a run that goes on asks for the next step. Sample k of a run is a turn of
one corpus of the mixture; the corpus's own samples visit its windows in an order that is new in every epoch. Every
part can be inverted, so it can be said in which steps a document was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.mixture import Interleaving, Share, Weighted, check_mixture, shares
from pipeline.batches.packing import Batch, Windows, batch_of, open_stream
from pipeline.batches.permutation import Permutation, epoch_permutation
from pipeline.errors import RequestError
from pipeline.tokens.shards import TRAIN, TokenShards


@dataclass(frozen=True)
class Order:
    """The global batches of a run: `batch_size` windows of `context` inputs a step. Steps count from 0.

    `shards` are the opened artifacts of the mixture's members. Raises RequestError as `check_windows` does.
    """

    mixture: Sequence[Share]
    shards: Sequence[TokenShards]
    context: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        check_windows(self.mixture, self.shards, self.context)
        if self.batch_size < 1:
            raise RequestError(f"batch is {self.batch_size}: use at least 1")

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        """Rows of the global batch of a step. Any division into slices gives the same rows."""
        corpora, windows = self._locate(step, rows)
        streams = [self._windows[corpus].stream for corpus in corpora]
        places = [(stream, window * self.context) for stream, window in zip(streams, windows, strict=True)]
        return batch_of(places, self.context)

    def documents_in(self, step: int) -> list[str]:
        """The ids of the documents with a token (an input or a target) in a step's global batch, in order of rows."""
        rows = zip(*self._locate(step, slice(None)), strict=True)
        return list(dict.fromkeys(found for corpus, window in rows for found in self._windows[corpus].documents(window)))

    def steps_of(self, document_id: str, steps: int) -> list[int]:
        """The inverse of `documents_in`: those of the first `steps` steps that a document is in, in order."""
        found: set[int] = set()
        for corpus, windows in enumerate(self._windows):
            mine = np.array(windows.of(document_id), np.int64)
            drawn = self._interleaving.count(corpus, steps * self.batch_size)
            for epoch in range(-(-drawn // windows.count) if len(mine) else 0):
                numbers = epoch * windows.count + self._permutation(corpus, epoch).inverse(mine)
                samples = self._interleaving.samples(corpus, numbers[numbers < drawn])
                found |= set((samples // self.batch_size).tolist())
        return sorted(found)

    @property
    def steps_per_epoch(self) -> int:
        """The steps after which every window of every corpus was seen at least once."""
        last = (int(self._interleaving.samples(corpus, np.array([windows.count - 1]))[0]) for corpus, windows in enumerate(self._windows))
        return max(last) // self.batch_size + 1

    @cached_property
    def _windows(self) -> list[Windows]:
        pairs = zip(self.shards, self.mixture, strict=True)
        return [Windows(open_stream(shards, TRAIN, member.source), self.context) for shards, member in pairs]

    @cached_property
    def _interleaving(self) -> Interleaving:
        return Interleaving(tuple(shares([member.weight for member in self.mixture])))

    def _permutation(self, corpus: int, epoch: int) -> Permutation:
        return epoch_permutation(self._windows[corpus].count, self.seed, corpus, epoch)

    def _locate(self, step: int, rows: slice) -> tuple[list[int], list[int]]:
        """The corpus and the window of each row."""
        samples = step * self.batch_size + np.arange(self.batch_size, dtype=np.int64)[rows]
        corpora, numbers = self._interleaving.locate(samples)
        windows = np.empty_like(numbers)
        for corpus in np.unique(corpora).tolist():
            mine = corpora == corpus
            windows[mine] = self._windows_at(corpus, numbers[mine])
        return corpora.tolist(), windows.tolist()

    def _windows_at(self, corpus: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows that samples of a corpus visit."""
        epochs, places = np.divmod(numbers, self._windows[corpus].count)
        windows = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            mine = epochs == epoch
            windows[mine] = self._permutation(corpus, epoch)(places[mine])
        return windows


def check_corpora(mixture: Sequence[Weighted], shards: Sequence[TokenShards], context: int) -> None:
    """Raise RequestError for a mixture that does not fit together, an unknown source, or a corpus that fills no window.

    Reads manifests alone: to be called before a gang is started.
    """
    check_mixture(mixture)
    check_windows(mixture, shards, context)


def check_windows(mixture: Sequence[Share], shards: Sequence[TokenShards], context: int) -> None:
    """Raise RequestError for an unknown source, or a corpus that fills no window."""
    if context < 1:
        raise RequestError(f"context is {context}: use at least 1")
    for member, tokens in zip(mixture, shards, strict=True):
        documents, size = tokens.facts["documents"][TRAIN], tokens.facts["tokens"][TRAIN]
        if member.source is not None:
            sources = tokens.facts["sources"]
            if member.source not in sources:
                raise RequestError(f"{tokens.address} has no source {member.source!r} to train on: use one of {', '.join(sources)}")
            documents, size = sources[member.source]["documents"], sources[member.source]["tokens"]
        if documents + size <= context:
            corpus = f"{member.source} in {tokens.address}" if member.source else tokens.address
            raise RequestError(
                f"{corpus} has {documents + size} tokens to train on, with one end of text a document: too few for one window of"
                f" {context} inputs and a last target; lower context, or add documents"
            )
