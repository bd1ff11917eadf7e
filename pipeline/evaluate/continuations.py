"""Questions that lm-eval's tasks ask: how likely is a text right after another one, and would the model have written it?"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluate.base import Answering, EvalTask, Record


class Pair(NamedTuple):
    """How likely is `text` right after `given`? Empty: at the beginning of a document."""

    given: str
    text: str


@dataclass(frozen=True)
class Question:
    """Some pairs, and what the task wants to remember until they are answered."""

    pairs: tuple[Pair, ...]
    right: int | None = None
    """The place of the right one among the pairs; None: there is none."""
    lengths: tuple[int, ...] = ()
    """Characters of each choice, where there are choices."""
    group: str | None = None
    """What the example is counted with, besides all."""


@dataclass(frozen=True)
class Likelihoods:
    """Of each pair: the natural logarithm of the text's probability, its tokens, and whether each was the likeliest there."""

    logs: tuple[float, ...]
    tokens: tuple[int, ...]
    greedy: tuple[bool, ...]
    truncated: int = 0
    """Pairs that were longer than the model's context, so that their beginnings were cut off."""


@dataclass(frozen=True, kw_only=True)
class ContinuationTask(EvalTask[Question, Likelihoods]):
    """A task that asks about pairs."""

    def subject(self, folder: Path) -> Answering[Question, Likelihoods]:
        from pipeline.evaluate.continuer import Continuer

        return Continuer(folder)

    def record(self, example: Question, answer: Likelihoods) -> Record:
        asked = json.dumps(example.pairs, ensure_ascii=False)
        answered = json.dumps({"logs": answer.logs, "tokens": answer.tokens, "greedy": answer.greedy})
        return Record(asked, answered, None if example.right is None else example.pairs[example.right].text)
