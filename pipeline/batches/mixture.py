"""Several corpora as one sequence of samples, by weight: which corpus sample k comes from, and which of it.

The sequence is periodic, and inside a period each corpus gets its turns as evenly as can be: after any number of
samples, each has had its share to within one sample. Both directions are table look-ups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.tokens.shards import TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.workflow.fingerprint import Json
from pipeline.workflow.step import Step

LONGEST_PERIOD = 1 << 16
"""Shares that need a longer period are rounded to this denominator."""


class Share(Protocol):
    """What the order of samples depends on, of a corpus in a mixture."""

    @property
    def weight(self) -> float: ...

    @property
    def source(self) -> str | None: ...


@dataclass(frozen=True)
class Weighted:
    """A corpus in a mixture: its documents, or those of one `source` alone, and the weight of their samples.

    Weights are relative: of two corpora with weights 3 and 1, the first gives three samples of four.
    """

    tokens: Step[TokenShards]
    weight: float = 1.0
    source: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise RequestError(f"weight is {self.weight}: use a number above 0, or leave the corpus out of the mixture")


def check_mixture(mixture: Sequence[Weighted]) -> None:
    """Raise RequestError for a mixture that cannot be trained on together."""
    if not mixture:
        raise RequestError("mixture is empty: name at least one corpus to train on")
    check_alike({f"mixture[{place}]": member for place, member in enumerate(mixture)})
    shares([member.weight for member in mixture])


def check_alike(members: Mapping[str, Weighted]) -> None:
    """Raise RequestError unless named corpora have one tokenizer and one split. Those named by their address alone are passed over."""
    steps = {name: member.tokens for name, member in members.items()}
    _check_one_making({name: step.recipe for name, step in steps.items() if isinstance(step, Tokenize)})


def check_made_alike(shards: Mapping[str, TokenShards]) -> None:
    """As `check_alike`, of opened artifacts: their manifests say what made them."""
    _check_one_making({name: tokens.manifest.recipe for name, tokens in shards.items()})


def _check_one_making(recipes: Mapping[str, Mapping[str, Json]]) -> None:
    """Recipes of token shards by names; the first one is what the others are compared with."""
    for name, recipe in recipes.items():
        first, expected = next(iter(recipes.items()))
        if recipe["tokenizer"] != expected["tokenizer"]:
            raise RequestError(
                f"{name} has the tokenizer {_words(recipe['tokenizer'])}, but {first} has {_words(expected['tokenizer'])}:"
                " tokenize all corpora of a mixture with one tokenizer"
            )
        if recipe["split"] != expected["split"]:
            raise RequestError(
                f"{name} has the split {_words(recipe['split'])}, but {first} has {_words(expected['split'])}, so one would train on"
                " what the other holds out: give all corpora of a mixture one split"
            )


def _words(form: Json) -> str:
    """A step's address, or the values of a small recipe."""
    assert isinstance(form, dict)
    return str(form["step"]) if "step" in form else ", ".join(f"{name}={value}" for name, value in form.items() if name != "class")


def shares(weights: Sequence[float]) -> list[int]:
    """Weights as whole numbers of turns in a period; exact where a period of at most LONGEST_PERIOD can be.

    Raises RequestError for a weight that comes to no turn at all.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    parts = [weight / sum(exact) for weight in exact]
    period = lcm(*(part.denominator for part in parts))
    if period <= LONGEST_PERIOD:
        return [int(part * period) for part in parts]
    turns = [int(part * LONGEST_PERIOD) for part in parts]
    by_rest = sorted(range(len(parts)), key=lambda place: turns[place] - parts[place] * LONGEST_PERIOD)
    for place in by_rest[: LONGEST_PERIOD - sum(turns)]:
        turns[place] += 1
    if 0 in turns:
        place = turns.index(0)
        raise RequestError(
            f"weight {weights[place]} is less than one of {LONGEST_PERIOD} samples: use at least {float(sum(exact)) / LONGEST_PERIOD:.3g}"
        )
    return turns


@dataclass(frozen=True)
class Interleaving:
    """The turns of corpora with whole-numbered `shares`, over and over."""

    shares: tuple[int, ...]

    def locate(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The corpus of each sample, and its number among the samples of that corpus."""
        rounds, places = np.divmod(samples, self._period)
        corpora = self._turns[places]
        return corpora, rounds * np.asarray(self.shares)[corpora] + self._numbers[places]

    def samples(self, corpus: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The inverse of `locate`: where the samples of a corpus with these numbers stand."""
        rounds, rest = np.divmod(numbers, self.shares[corpus])
        return rounds * self._period + self._places[corpus][rest]

    def count(self, corpus: int, samples: int) -> int:
        """How many of the first `samples` samples are of a corpus."""
        rounds, rest = divmod(samples, self._period)
        return rounds * self.shares[corpus] + int(np.searchsorted(self._places[corpus], rest))

    @property
    def _period(self) -> int:
        return sum(self.shares)

    @cached_property
    def _turns(self) -> NDArray[np.int64]:
        return np.array(_turns(self.shares))

    @cached_property
    def _places(self) -> list[NDArray[np.int64]]:
        """The places of each corpus in a period."""
        return [np.flatnonzero(self._turns == corpus) for corpus in range(len(self.shares))]

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        """At each place of a period, how often its corpus came before."""
        numbers = np.empty(self._period, np.int64)
        for places in self._places:
            numbers[places] = np.arange(len(places))
        return numbers


def _turns(counts: Sequence[int]) -> list[int]:
    """Whose turn it is at each place of a period.

    Turn n of a corpus may come from place ⌊n·period/count⌋ on and is due by place ⌈(n+1)·period/count⌉; of those that
    may come, the one that is due first comes (Baruah et al., Proportionate Progress, 1996).
    """
    period = sum(counts)
    taken = [0] * len(counts)
    turns = []
    for place in range(period):
        may = [corpus for corpus, count in enumerate(counts) if taken[corpus] * period <= place * count]
        turn = min(may, key=lambda corpus: -(-(taken[corpus] + 1) * period // counts[corpus]))
        taken[turn] += 1
        turns.append(turn)
    return turns
