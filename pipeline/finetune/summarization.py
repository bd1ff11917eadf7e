"""Summarization: an article, or a dialogue, into a few sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.finetune.base import Row, check_columns, text_of
from pipeline.finetune.text_to_text import Exchange, TextToText
from pipeline.metrics.rouge import rouge_metrics, rouge_scores


@dataclass(frozen=True, kw_only=True)
class Summarization(TextToText):
    """Learn to sum up. Metrics: `log_likelihood`, `perplexity`, and `rouge1`, `rouge2` and `rougeL`, mean F1 from 0 to 1."""

    text: str = "document"
    summary: str = "summary"
    prefix: str = "summarize: "
    separator: str = "\nSummary:\n"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_columns({"text": self.text, "summary": self.summary})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.text, self.summary)

    def row(self, record: Mapping[str, Any]) -> Row:
        return {"text": text_of(record, self.text).strip(), "summary": text_of(record, self.summary).strip()}

    def exchanges(self, row: Row) -> Sequence[Exchange]:
        return (Exchange(self.prefix, row["text"], row["summary"]),)

    def text_scores(self, row: Row, text: str) -> Mapping[str, float]:
        return rouge_scores(text, row["summary"])

    def text_metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return rouge_metrics(totals)
