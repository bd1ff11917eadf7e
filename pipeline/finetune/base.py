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

    from pipeline.finetune.reader import Reader

Row = Mapping[str, Any]
"""A record in the task's own words, as JSON."""
Arrays = Mapping[str, Sequence[int | float]]
"""One thing that a model is shown: arrays by the names of its inputs. Those of one name may differ in length."""
IGNORED = -100
"""A target that counts for nothing, as in transformers."""


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

    @abstractmethod
    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        """The loss [B] of each window of a batch in nats, in fp32: for a window of several targets, their mean."""

    @abstractmethod
    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """What a model says of each row, in order."""

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
