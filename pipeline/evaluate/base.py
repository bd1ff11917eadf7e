"""What an evaluation task is: questions to a model, what an answer is worth, and the metrics that follow.

A question asks how likely a model finds some texts after another one. That is enough for perplexity and for choosing among
answers, and it is the same question to every causal model, whatever its tokenizer.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pipeline.objectives.base import Objective
from pipeline.objectives.next_token import NextToken


@dataclass(frozen=True)
class Example:
    """How likely is each of `texts` after `given`? With `ends`, the end of the text is part of each."""

    texts: tuple[str, ...]
    given: str = ""
    """Empty: the texts begin a document."""
    ends: bool = False


@dataclass(frozen=True)
class Answer:
    """For each text of an example: minus its log-likelihood in nats, and the tokens that it took."""

    nats: tuple[float, ...]
    tokens: tuple[int, ...]


class HeldOut(Protocol):
    """Documents that were kept from training."""

    def texts(self) -> Iterator[str]:
        """The text of each, in order; anew with every call."""


class Answering(Protocol):
    """A model under test."""

    def answers(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Answer]]:
        """Each example with its answer, in order."""


@dataclass(frozen=True, kw_only=True)
class EvalTask(ABC):
    """A frozen recipe of a task."""

    needs_held_out: ClassVar[bool] = False
    """Whether it asks about the held-out documents, so that there have to be some."""

    @property
    def name(self) -> str:
        """The task's name among the scores: the class name in kebab case, unless a task has more to say."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()

    def fits(self, objective: Objective) -> bool:
        """Whether a model that was trained with an objective can be asked."""
        return isinstance(objective, NextToken)

    def subject(self, folder: Path) -> Answering:
        """The checkpoint in a folder, as it is asked: by default, how likely it finds texts from left to right."""
        from pipeline.evaluate.subject import Subject

        return Subject(folder)

    @abstractmethod
    def examples(self, held_out: HeldOut) -> Iterable[Example]:
        """What is asked. `held_out` are the documents that the evaluation was given; a task may have its own instead."""

    @abstractmethod
    def score(self, example: Example, answer: Answer) -> Mapping[str, float]:
        """What an answer is worth, as numbers that add up over examples."""

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:  # noqa: ARG002
        """The task's metrics, from the totals of `count` scores: their means, unless a task has more to say."""
        return {name: value / count for name, value in totals.items()}
