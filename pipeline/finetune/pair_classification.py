"""One label a pair of texts: whether one follows from the other, or means the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.finetune.base import Row, check_columns, text_of
from pipeline.finetune.sequence_classification import SequenceClassification

if TYPE_CHECKING:
    from pipeline.finetune.reader import Fitted, Reader


@dataclass(frozen=True, kw_only=True)
class PairClassification(SequenceClassification):
    """Learn the label of two texts, which are shown one after the other; metrics as of one text."""

    second: str = "text_b"
    """The column of the second text; `text` is that of the first."""

    def __post_init__(self) -> None:
        check_columns({"text": self.text, "second": self.second, "label": self.label})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.text, self.second, self.label)

    def row(self, record: Mapping[str, Any]) -> Row:
        return {**super().row(record), "second": text_of(record, self.second)}

    def fitted(self, row: Row, reader: "Reader") -> "Fitted":
        return reader.pair(row["text"], row["second"])
