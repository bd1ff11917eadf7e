"""What an evaluation task is: questions to a model, what an answer is worth, and the metrics that follow.

What a question and its answer are, a task and the subject that it asks agree on. Those of `Example` and `Answer` ask how likely a
model finds some texts after another one: that is enough for perplexity and for choosing among answers, and it is the same
question to every causal model, whatever its tokenizer.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from pipeline.objectives.base import Objective
from pipeline.objectives.next_token import NextToken

Q = TypeVar("Q")
A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


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


class NoDocuments:
    """What is held out where a task has examples of its own."""

    def texts(self) -> Iterator[str]:
        return iter(())


class Answering(Protocol[Q, A_co]):
    """A model under test."""

    def answers(self, examples: Iterable[Q]) -> Iterator[tuple[Q, A_co]]:
        """Each example with its answer, in order."""


class Record(NamedTuple):
    """An example and its answer as they are kept, for people to read."""

    asked: str
    answered: str
    expected: str | None = None
    """None: there is no one right answer."""


class Ratio(NamedTuple):
    """A metric that is one total over another: the name of each; None: the number of examples."""

    above: str
    below: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvalTask(ABC, Generic[Q, A]):
    """A frozen recipe of a task, whose questions are of kind Q and their answers of kind A."""

    needs_held_out: ClassVar[bool] = False
    """Whether it asks about the held-out documents, so that there have to be some."""

    @classmethod
    def kind(cls) -> str:
        """What such tasks are called on a command line: the class name in kebab case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @property
    def name(self) -> str:
        """The task's name among the scores: that of its kind, unless a task has more to say."""
        return self.kind()

    def fits(self, objective: Objective) -> bool:
        """Whether a model that was trained with an objective can be asked."""
        return isinstance(objective, NextToken)

    def check(self) -> None:
        """Raise RequestError for what can be seen to be wrong before a model is opened."""

    @abstractmethod
    def subject(self, folder: Path) -> Answering[Q, A]:
        """The checkpoint in a folder, as it is asked."""

    @abstractmethod
    def examples(self, held_out: HeldOut) -> Iterable[Q]:
        """What is asked. `held_out` are the documents that the evaluation was given; a task may have its own instead."""

    @abstractmethod
    def score(self, example: Q, answer: A) -> Mapping[str, float]:
        """What an answer is worth, as numbers that add up over examples."""

    @abstractmethod
    def record(self, example: Q, answer: A) -> Record:
        """An example and its answer, to be kept."""

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:
        """The metrics that are ratios of totals, and so have a confidence interval: of every score its mean, unless a task says others."""
        return {name: Ratio(name) for name in scores}

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:  # noqa: ARG002
        """The task's metrics, from the totals of `count` scores: its ratios, unless a task has more to say."""
        ratios = self.ratios(totals)
        return {name: totals[above] / (count if below is None else totals[below]) for name, (above, below) in ratios.items()}


@dataclass(frozen=True, kw_only=True)
class LikelihoodTask(EvalTask[Example, Answer]):
    """A task that asks how likely a model finds texts from left to right."""

    def subject(self, folder: Path) -> Answering[Example, Answer]:
        from pipeline.evaluate.subject import Subject

        return Subject(folder)

    def record(self, example: Example, answer: Answer) -> Record:
        """Documents stand as digests: what is forgotten must not live on among answers."""
        asked = " ".join(f"sha256:{sha256(text.encode()).hexdigest()}" for text in (example.given, *example.texts) if text)
        return Record(asked, json.dumps({"nats": answer.nats, "tokens": answer.tokens}))
