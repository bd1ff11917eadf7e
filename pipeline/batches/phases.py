"""A run in phases: what it is trained on from the start, and what takes its place from later steps on.

A corpus that grows while a model is trained is followed at a step boundary. Up to there the order of the data is that of the
run without the phase; from there on it is a function of all manifests so far, the seed and the step, with an inverse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.batches.mixture import Interleaving, Share, Weighted, check_alike, check_mixture, shares
from pipeline.batches.packing import Windows, open_stream
from pipeline.batches.visits import Visits, stretches, visited_again
from pipeline.errors import RequestError
from pipeline.tokens.shards import TRAIN, TokenShards


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What is trained on from the step `at` on, counted from 0, in place of what came before.

    A corpus at the same place of both mixtures, of the same source, goes on with the epoch that it was in: first come, shuffled,
    the windows that are new and those that this epoch has not visited. All else begins with an epoch of its own.
    """

    at: int
    mixture: tuple[Weighted, ...]

    def __post_init__(self) -> None:
        check_mixture(self.mixture)


def members_of(mixture: Sequence[Weighted], then: Sequence[Phase]) -> Mapping[str, Weighted]:
    """The corpora of all phases, by the field that holds them."""
    mixtures = {"mixture": mixture} | {f"then[{place}].mixture": phase.mixture for place, phase in enumerate(then)}
    return {f"{name}[{place}]": member for name, members in mixtures.items() for place, member in enumerate(members)}


def check_phases(mixture: Sequence[Weighted], then: Sequence[Phase], steps: int) -> None:
    """Raise RequestError for phases that do not follow each other within a run of `steps` steps, or cannot be trained on together."""
    least = 1
    for place, phase in enumerate(then):
        if not least <= phase.at < steps:
            remedy = f"use a step from {least} to {steps - 1}" if least < steps else "leave it out, or raise token_budget"
            raise RequestError(
                f"then[{place}].at is {phase.at}, in a run of {steps} steps whose boundaries come one after the other: {remedy}"
            )
        least = phase.at + 1
    check_alike(members_of(mixture, then))


@dataclass(frozen=True)
class Stage:
    """A phase with its opened artifacts: `shards` are those of the mixture's members."""

    at: int
    mixture: Sequence[Share]
    shards: Sequence[TokenShards]


@dataclass(frozen=True)
class Leg:
    """The order of the samples of one phase, counted from 0 in it. The windows of a sample are `context` inputs each."""

    mixture: Sequence[Share]
    shards: Sequence[TokenShards]
    context: int
    seed: int
    before: "Leg | None" = None
    """The phase before."""
    drawn: int = 0
    """How many samples the phase before had."""

    @cached_property
    def windows(self) -> list[Windows]:
        """The windows of each corpus."""
        pairs = zip(self.shards, self.mixture, strict=True)
        return [Windows(open_stream(shards, TRAIN, member.source), self.context) for shards, member in pairs]

    @cached_property
    def interleaving(self) -> Interleaving:
        """Whose turn it is."""
        return Interleaving(tuple(shares([member.weight for member in self.mixture])))

    @cached_property
    def visits(self) -> list[Visits]:
        """The order of each corpus's windows."""
        return [self._visits(corpus) for corpus in range(len(self.mixture))]

    def locate(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The corpus and the window of each sample."""
        corpora, numbers = self.interleaving.locate(samples)
        windows = np.empty_like(numbers)
        for corpus in np.unique(corpora).tolist():
            mine = corpora == corpus
            windows[mine] = self.visits[corpus](numbers[mine])
        return corpora, windows

    def samples_of(self, document_id: str, count: int) -> NDArray[np.int64]:
        """The inverse of `locate`: those of the first `count` samples whose windows have a token of a document."""
        found = [np.empty(0, np.int64)]
        for corpus, windows in enumerate(self.windows):
            mine = np.array(windows.of(document_id), np.int64)
            numbers = self.visits[corpus].numbers(mine, self.interleaving.count(corpus, count)) if len(mine) else mine
            found.append(self.interleaving.samples(corpus, numbers))
        return np.concatenate(found)

    def _visits(self, corpus: int) -> Visits:
        count, before = self.windows[corpus].count, self.before
        if before is None or corpus >= len(before.mixture) or before.mixture[corpus].source != self.mixture[corpus].source:
            return Visits(count, self.seed, corpus)
        epoch, visited = before.visits[corpus].progress(before.interleaving.count(corpus, self.drawn))
        earlier, later = (stretches(leg.shards[corpus], leg.mixture[corpus].source) for leg in (before, self))
        again = visited_again(visited, earlier, later, self.context, count)
        return Visits(count, self.seed, corpus, epoch, np.flatnonzero(~again))
