"""One label a text: sentiment, topics, and what else sorts texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.finetune.base import Answered, FinetuneTask, Row, Shown, check_columns, text_of
from pipeline.metrics.classification import label_metrics, label_scores
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Fitted, Reader

ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class SequenceClassification(FinetuneTask):
    """Learn the label of a text. Metrics: `accuracy`, and `f1`, the mean over labels (macro)."""

    opened_by: ClassVar[str] = "AutoModelForSequenceClassification"
    watched: ClassVar[str] = "accuracy"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "labels")
    text: str = "text"
    label: str = "label"

    def __post_init__(self) -> None:
        check_columns({"text": self.text, "label": self.label})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.text, self.label)

    def row(self, record: Mapping[str, Any]) -> Row:
        return {"text": text_of(record, self.text), "label": text_of(record, self.label).strip()}

    def labels(self, row: Row) -> tuple[str, ...]:
        return (row["label"],)

    def shown(self, row: Row, reader: "Reader") -> Shown:
        ids, truncated = self.fitted(row, reader)
        window = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [reader.labels.index(row["label"])]}
        return Shown((window,), truncated)

    def fitted(self, row: Row, reader: "Reader") -> "Fitted":
        """The tokens that a model is shown."""
        return reader.single(row["text"])

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import cross_entropy

        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        return cross_entropy(logits.float(), inputs["labels"][:, 0], reduction="none")

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The likeliest label, and the probability of each."""
        from pipeline.finetune.batches import in_batches

        def likely(inputs: "Mapping[str, Tensor]") -> list[Json]:
            probabilities = model(**inputs).logits.float().softmax(dim=-1).tolist()
            return [
                {"label": max(zip(each, reader.labels, strict=True))[1], "probabilities": dict(zip(reader.labels, each, strict=True))}
                for each in probabilities
            ]

        return in_batches([self.fitted(row, reader).ids for row in rows], likely, reader.padding, model.device, ROWS_AT_ONCE)

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        return label_scores(answered.row["label"], said["label"])

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return label_metrics(totals)
