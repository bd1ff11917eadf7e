"""The order of training data as a function: (manifests, seed, step) → the exact samples, and back.

There is nothing to save and nothing to lose: a run that goes on asks for the next step. Sample k of a run is a turn of
one corpus of the mixture; the corpus's own samples visit its windows in an order that is new in every epoch. Every
part can be inverted, so it can be said in which steps a document was seen.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.batches.mixture import Share
from pipeline.batches.packing import Batch, Windows, batch_of
from pipeline.batches.phases import Leg, Stage
from pipeline.errors import RequestError
from pipeline.tokens.shards import TRAIN, TokenShards


@dataclass(frozen=True)
class Order:
    """The global batches of a run: `batch_size` windows of `context` inputs a step. Steps count from 0.

    `shards` are the opened artifacts of the mixture's members; `then` is what takes its place, from later steps on.
    Raises RequestError as `check_windows` does.
    """

    mixture: Sequence[Share]
    shards: Sequence[TokenShards]
    context: int
    batch_size: int
    seed: int
    then: Sequence[Stage] = ()

    def __post_init__(self) -> None:
        for stage in self.stages:
            check_windows(stage.mixture, stage.shards, self.context)
        if self.batch_size < 1:
            raise RequestError(f"batch is {self.batch_size}: use at least 1")

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        """Rows of the global batch of a step. Any division into slices gives the same rows."""
        places = [(windows.stream, window * self.context) for windows, window in self._rows(step, rows)]
        return batch_of(places, self.context)

    def documents_in(self, step: int) -> list[str]:
        """The ids of the documents with a token (an input or a target) in a step's global batch, in order of rows."""
        rows = self._rows(step, slice(None))
        return list(dict.fromkeys(found for windows, window in rows for found in windows.documents(window)))

    def steps_of(self, document_id: str, steps: int) -> list[int]:
        """The inverse of `documents_in`: those of the first `steps` steps that a document is in, in order."""
        found: set[int] = set()
        for stage, leg, end in zip(self.stages, self._legs, [*self._begins[1:], steps], strict=True):
            count = max(0, min(end, steps) - stage.at) * self.batch_size
            found |= set((stage.at + leg.samples_of(document_id, count) // self.batch_size).tolist())
        return sorted(found)

    @property
    def steps_per_epoch(self) -> int:
        """The steps after which every window of every corpus of the first mixture was seen at least once, were there no other."""
        leg = self._legs[0]
        last = (int(leg.interleaving.samples(corpus, np.array([windows.count - 1]))[0]) for corpus, windows in enumerate(leg.windows))
        return max(last) // self.batch_size + 1

    @property
    def stages(self) -> list[Stage]:
        """All phases, the first one too."""
        return [Stage(0, self.mixture, self.shards), *self.then]

    @cached_property
    def _begins(self) -> list[int]:
        """The first step of each phase."""
        return [stage.at for stage in self.stages]

    @cached_property
    def _legs(self) -> list[Leg]:
        legs: list[Leg] = []
        for number, stage in enumerate(self.stages):
            before = legs[-1] if legs else None
            drawn = (stage.at - self._begins[number - 1]) * self.batch_size if legs else 0
            legs.append(Leg(stage.mixture, stage.shards, self.context, self.seed, before, drawn))
        return legs

    def _rows(self, step: int, rows: slice) -> Iterator[tuple[Windows, int]]:
        """The windows of each row's corpus, and the number of the row's own."""
        number = bisect_right(self._begins, step) - 1
        leg, begin = self._legs[number], (step - self._begins[number]) * self.batch_size
        corpora, windows = leg.locate(begin + np.arange(self.batch_size, dtype=np.int64)[rows])
        return ((leg.windows[corpus], window) for corpus, window in zip(corpora.tolist(), windows.tolist(), strict=True))


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
