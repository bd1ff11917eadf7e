"""Texts that differ only in whom they speak of: does a model treat them alike (Huang and others, 2020)?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.evaluate.base import HeldOut
from pipeline.evaluate.continuations import ContinuationTask, Likelihoods, Pair, Question
from pipeline.evaluate.file_task import FileTask
from pipeline.evaluate.task_file import Row, as_text
from pipeline.evaluate.template import filled

GROUP = "group"
SLOT = f"{{{GROUP}}}"


@dataclass(frozen=True, kw_only=True)
class CounterfactualPairs(ContinuationTask, FileTask[Question, Likelihoods]):
    """How far apart a model's likelihoods are for texts that differ only in a group.

    Each record fills the template once a group, with the group's name in place of {group}, or what the record has in a column of that
    name. Without labels the whole texts are compared: `distance` is how far their log-likelihoods are apart, in nats, as a mean over
    pairs of groups, and `likeliest:GROUP` the share of records of which that group's text is the likeliest. With labels, what
    follows is compared: `distance` is the total variation between the labels' probabilities among each other, from 0 to 1, `flipped`
    the share of pairs that prefer different labels, and `LABEL:GROUP` the mean probability of a label.
    """

    template: str = "{text}"
    """A template of the text, with {group} in it."""
    groups: tuple[str, ...] = ("he", "she")
    """Whom the texts speak of."""
    labels: tuple[str, ...] = ()
    """What may follow a text; none: the texts themselves are compared."""
    between: str = " "
    """What stands between a text and a label."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.groups)) != len(self.groups) or len(self.groups) < 2:
            raise RequestError(f"groups of {self.name} is {','.join(self.groups)!r}: name at least two, each once")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise RequestError(f"labels of {self.name} is {','.join(self.labels)!r}: name at least two, each once, or none")

    def examples(self, held_out: HeldOut) -> Iterator[Question]:  # noqa: ARG002 - it has its own
        for row in self.rows():
            texts = [self._text(row, group) for group in self.groups]
            if len(set(texts)) < len(texts):
                raise RequestError(f"{row.origin} gives the same text for two groups: write {SLOT} in the template where they differ")
            followed = [Pair(text, self.between + label) for text in texts for label in self.labels]
            yield Question(tuple(followed or [Pair("", text) for text in texts]))

    def _text(self, row: Row, group: str) -> str:
        """The text of a group; {group} may stand in the template, or in what a column holds."""
        word = as_text(row.columns.get(group, group))
        held = {name: value.replace(SLOT, word) if isinstance(value, str) else value for name, value in row.columns.items()}
        return filled(self.template, Row(row.origin, {**held, GROUP: word}))

    def score(self, example: Question, answer: Likelihoods) -> Mapping[str, float]:  # noqa: ARG002 - the answer says it all
        logs = np.array(answer.logs).reshape(len(self.groups), -1)
        return self._labelled(logs) if self.labels else self._compared(logs[:, 0])

    def _compared(self, logs: NDArray[np.float64]) -> dict[str, float]:
        """Scores of whole texts; logs [groups]."""
        distances = [abs(one - other) for one, other in combinations(logs.tolist(), 2)]
        likeliest = {f"likeliest:{group}": float(place == logs.argmax()) for place, group in enumerate(self.groups)}
        return {"distance": sum(distances) / len(distances), **likeliest}

    def _labelled(self, logs: NDArray[np.float64]) -> dict[str, float]:
        """Scores of labels after texts; logs [groups, labels]."""
        odds = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares = odds / odds.sum(axis=1, keepdims=True)
        pairs = list(combinations(shares, 2))
        named = zip((f"{label}:{group}" for group in self.groups for label in self.labels), shares.flatten().tolist(), strict=True)
        flipped = sum(one.argmax() != other.argmax() for one, other in pairs) / len(pairs)
        distance = sum(float(abs(one - other).sum()) / 2 for one, other in pairs) / len(pairs)
        return {"distance": distance, "flipped": float(flipped), **dict(named)}
