"""Choosing among answers by how likely a model finds each: ARC, PIQA, BoolQ, MMLU and whatever else has choices and a label."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.evaluate.base import HeldOut, Ratio
from pipeline.evaluate.continuations import ContinuationTask, Likelihoods, Pair, Question
from pipeline.evaluate.file_task import FewShotTask
from pipeline.evaluate.groups import group_ratios, grouped
from pipeline.evaluate.task_file import Row, as_text
from pipeline.evaluate.template import filled

BINS = 15
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What choices are called where they are listed before the answer."""
GAP = "confidence_gap_"


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(ContinuationTask, FewShotTask[Question, Likelihoods]):
    """Which of some answers a model finds likeliest after a question.

    `accuracy` takes the sum of the logarithms, as lm-eval's acc; `accuracy_norm` divides it by the choice's characters, as its
    acc_norm; `accuracy_pmi` subtracts what the choice costs after `unconditional` instead of the question, so that common answers
    are not preferred (Brown and others, 2020; Holtzman and others, 2021; with an empty `unconditional` it is lm-eval's
    acc_mutual_info). Of the probabilities that the choices have among each other, `brier` is the squared distance from the truth
    (Brier, 1950; summed over choices), and `calibration_error` the expected calibration error in 15 bins (Guo and others, 2017).
    """

    prompt: str = "{query}\nAnswer:"
    """A template of the question."""
    choices: str = "choices"
    """The column with a list of answers; or several columns with one each, with + between."""
    label: str = "gold"
    """The column that says which is right: by its place from 0, its letter, or its text."""
    layout: Literal["text", "letters"] = "text"
    """What is chosen: the answers' texts, or letters, with the answers listed after the question, as MMLU is asked."""
    between: str = " "
    """What stands between the question and an answer."""
    unconditional: str | None = "Answer:"
    """A template of what stands before a choice where its own likelihood is wanted; None: no accuracy_pmi."""
    by: str | None = None
    """A column by whose values accuracy is counted too, such as MMLU's subject."""

    def examples(self, held_out: HeldOut) -> Iterator[Question]:  # noqa: ARG002 - it has its own
        for row, before in self.prompted():
            choices = self.answers(row)
            given = before + self.question(row)
            pairs = [Pair(given, self.between + choice) for choice in choices]
            if self.unconditional is not None:
                pairs += [Pair(filled(self.unconditional, row), self.between + choice) for choice in choices]
            group = None if self.by is None else row.text(self.by)
            yield Question(tuple(pairs), self.right(row), tuple(map(len, choices)), group)

    def shown(self, row: Row) -> str:
        return self.question(row) + self.between + self.answers(row)[self.right(row)]

    def question(self, row: Row) -> str:
        """The question as it is asked; with letters, the answers are listed before its last line."""
        if self.layout == "text":
            return filled(self.prompt, row)
        asked, line, last = filled(self.prompt, row).rpartition("\n")
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, self.texts(row), strict=False))
        return f"{asked}\n{listed}{line}{last}"

    def answers(self, row: Row) -> Sequence[str]:
        """What is chosen among."""
        texts = self.texts(row)
        return texts if self.layout == "text" else LETTERS[: len(texts)]

    def texts(self, row: Row) -> list[str]:
        """The answers of a record; raises RequestError for fewer than two, and for an empty one."""
        several = self.choices.split("+")
        held = row.value(self.choices) if len(several) == 1 else [row.value(column) for column in several]
        texts = [as_text(text) for text in held] if isinstance(held, list) else []
        if len(texts) < 2 or not all(texts) or (self.layout == "letters" and len(texts) > len(LETTERS)):
            raise RequestError(f"{row.origin} has {held!r} as choices: name a column with a list of answers, none of them empty")
        return texts

    def right(self, row: Row) -> int:
        """The place of the right answer; raises RequestError for a label that names none."""
        label, texts = row.value(self.label), self.texts(row)
        place = place_of(label, texts)
        if place is None:
            raise RequestError(
                f"{row.origin} has the label {label!r}, and {len(texts)} choices: give the place of one from 0, its letter or text"
            )
        return place

    def score(self, example: Question, answer: Likelihoods) -> Mapping[str, float]:
        count = len(example.lengths)
        logs = np.array(answer.logs[:count])
        chosen = {"accuracy": logs, "accuracy_norm": logs / np.array(example.lengths)}
        if len(answer.logs) > count:
            chosen["accuracy_pmi"] = logs - np.array(answer.logs[count:])
        scores = {name: float(np.argmax(values) == example.right) for name, values in chosen.items()}
        scores |= calibrated(logs, example.right) | {"truncated": float(answer.truncated > 0)}
        return scores | grouped("accuracy", scores["accuracy"], example.group)

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:
        overall = {name: Ratio(name) for name in ("accuracy", "accuracy_norm", "accuracy_pmi", "brier") if name in scores}
        return overall | group_ratios("accuracy", scores)

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:
        gaps = math.fsum(abs(total) for name, total in totals.items() if name.startswith(GAP))
        return {**super().metrics(totals, count, held_out), "calibration_error": gaps / count, "truncated": int(totals["truncated"])}


def calibrated(logs: NDArray[np.float64], right: int | None) -> dict[str, float]:
    """What the probabilities of choices among each other are worth: their Brier score, and by how much the greatest one exceeds
    whether it is right, in the bin of its size."""
    odds = np.exp(logs - logs.max())
    shares = odds / odds.sum()
    truth = np.arange(len(logs)) == right
    most = float(shares.max())
    gap = most - float(truth[shares.argmax()])
    return {"brier": float(((shares - truth) ** 2).sum()), f"{GAP}{min(int(most * BINS), BINS - 1):02d}": gap}


def place_of(label: Any, texts: Sequence[str]) -> int | None:
    """Which of some answers a label means."""
    if isinstance(label, bool):
        label = int(label)
    said = as_text(label).strip()
    if said.isdecimal():
        return int(said) if int(said) < len(texts) else None
    if len(said) == 1 and said in LETTERS[: len(texts)] and said not in texts:
        return LETTERS.index(said)
    return texts.index(said) if said in texts else None
