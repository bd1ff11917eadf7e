"""Translation: a text into its translation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RequestError
from pipeline.finetune.base import Row, check_columns, text_of
from pipeline.finetune.text_to_text import Exchange, TextToText
from pipeline.metrics.translation import translation_metrics, translation_scores, translation_signatures

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Translation(TextToText):
    """Learn to translate.

    Metrics: `log_likelihood`, `perplexity`, and `bleu` and `chrf` of the whole set as sacrebleu has them, from 0 to 100.
    """

    source: str = "source"
    target: str = "target"
    language: str = "en"
    """The language of the target, such as en, de, zh or pt-BR: BLEU counts its tokens as that is written."""
    separator: str = "\n=>\n"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_columns({"source": self.source, "target": self.target})
        if not LANGUAGE.fullmatch(self.language):
            raise RequestError(f"task.language is {self.language!r}: use a code of ISO 639, such as en, de or zh")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.source, self.target)

    @property
    def signatures(self) -> Mapping[str, str]:
        return translation_signatures(self.language)

    def row(self, record: Mapping[str, Any]) -> Row:
        return {"source": text_of(record, self.source).strip(), "target": text_of(record, self.target).strip()}

    def exchanges(self, row: Row) -> Sequence[Exchange]:
        return (Exchange(self.prefix, row["source"], row["target"]),)

    def text_scores(self, row: Row, text: str) -> Mapping[str, float]:
        return translation_scores(text, row["target"], self.language)

    def text_metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return translation_metrics(totals, self.language)
