"""What a task to fine-tune on is: which columns of a record it needs, what a model is shown, how it is trained, and what it scores.

B rows, T tokens, V vocabulary
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.errors import RequestError
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Kind, Reader

Row = Mapping[str, Any]
"""A record in the task's own words, as JSON."""
Arrays = Mapping[str, Sequence[int | float]]
"""One thing that a model is shown: arrays by the names of its inputs. Those of one name may differ in length."""
IGNORED = -100
"""A target that counts for nothing, as in transformers."""
DOCUMENTS = "documents"
"""The input of windows that several rows are packed into: the number, from 1, of the row that each token belongs to."""


class Unfit(Exception):
    """A record that cannot be learned from, and the reason that it is counted under."""


@dataclass(frozen=True)
class Shown:
    """What a model is shown of one row: one array of inputs, or several windows of a long one."""

    windows: tuple[Arrays, ...]
    truncated: bool = False


@dataclass(frozen=True)
class Answered:
    """What a model made of one row."""

    row: Row
    prediction: Json


@dataclass(frozen=True, kw_only=True)
class FinetuneTask(ABC):
    """A frozen recipe of a task. Its fields name the columns of a record."""

    opened_by: ClassVar[str]
    """The class of transformers that a checkpoint is opened by for it."""
    watched: ClassVar[str]
    """The metric that says which weights are best: greater is better."""
    inputs: ClassVar[tuple[str, ...]]
    """The names of a window's arrays, in the order that they are passed on in."""
    filling: ClassVar[Mapping[str, int]] = {"attention_mask": 0, "labels": IGNORED}
    """What stands behind an array that is shorter than others of its batch; of other names, the tokenizer's padding."""

    @property
    def name(self) -> str:
        """The class name in kebab case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()

    def opener(self, kind: "Kind") -> str:  # noqa: ARG002 - most tasks open every kind by one class
        """The class of transformers that a checkpoint of a kind is opened by for it."""
        return self.opened_by

    def prepare(self, model: Any, reader: "Reader") -> None:  # noqa: B027 - most tasks have nothing to add
        """Set what a model, just opened, is to say of the task in its folder besides labels: how it writes, where it does."""

    def asked(self, kind: "Kind") -> str | None:  # noqa: ARG002 - most tasks are asked by their text alone
        """The words that a model of a kind is asked in, with … for a row's own; None: a text as it is."""
        return None

    @property
    def signatures(self) -> Mapping[str, str]:
        """How metrics were measured, by their names, where numbers are compared only with those measured alike."""
        return {}

    def check(self, reader: "Reader") -> None:  # noqa: B027 - most tasks ask for no more than `opened_by` says
        """Raise RequestError for a checkpoint that the task cannot be learned by, though transformers opens it."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that a record must have."""

    @abstractmethod
    def row(self, record: Mapping[str, Any]) -> Row:
        """A record in the task's own words; raises Unfit for one that cannot be learned from."""

    def labels(self, row: Row) -> tuple[str, ...]:  # noqa: ARG002 - most tasks have none
        """The labels that a row has."""
        return ()

    @abstractmethod
    def shown(self, row: Row, reader: "Reader") -> Shown:
        """What a model is shown of a row, with what it is to learn; raises Unfit."""

    def completed(self, windows: Sequence[Arrays], reader: "Reader") -> Sequence[Arrays]:  # noqa: ARG002 - most are complete as shown
        """What is trained on of the windows of a unit: several packed into one, or each with what only the checkpoint can say of it."""
        return windows

    def together(self, windows: Sequence[Arrays], reader: "Reader") -> Sequence[Sequence[int]]:  # noqa: ARG002 - most are not packed
        """Which of the windows of a unit stand in each of those that `completed` makes of them."""
        return [[number] for number in range(len(windows))]

    @abstractmethod
    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        """The loss [B] of each window of a batch in nats, in fp32: for a window of several targets, their mean.

        For a window of several rows, the sum of the rows' losses: the loop divides it by how many rows a window of the step has on
        average, so that a step's loss is the mean over its rows, however they are packed.
        """

    @abstractmethod
    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """What a model says of each row, in order."""

    def glances(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """What is asked of a model while it is trained, where answers would take too long; `score` and `metrics` are for it, too."""
        return self.answers(model, rows, reader)

    @abstractmethod
    def score(self, answered: Answered) -> Mapping[str, float]:
        """What an answer is worth, as numbers that add up over rows."""

    @abstractmethod
    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """The task's metrics, from totals of scores; `n` among them is the number of rows."""


def text_of(record: Mapping[str, Any], column: str) -> str:
    """The text in a column; raises Unfit where there is none."""
    value = record.get(column)
    if value is None:
        raise Unfit(f"no-{column}")
    text = value if isinstance(value, str) else str(value) if isinstance(value, bool | int | float) else None
    if text is None:
        raise Unfit(f"{column}-is-no-text")
    if not text.strip():
        raise Unfit(f"empty-{column}")
    return text


def check_columns(names: Mapping[str, str]) -> None:
    """Raise RequestError for a column that has no name, or two that have one."""
    for field, name in names.items():
        if not name:
            raise RequestError(f"task.{field} is empty: name the column of a record that it is in")
    if len(set(names.values())) < len(names):
        raise RequestError(f"task has one column for two things among {', '.join(f'{field}={name}' for field, name in names.items())}")
