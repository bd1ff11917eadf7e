"""Questions on a text, answered in words of the model's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pipeline.errors import RequestError
from pipeline.finetune.base import Row, Unfit, check_columns, text_of
from pipeline.finetune.text_to_text import Exchange, TextToText
from pipeline.metrics.reading import Language, best_match


@dataclass(frozen=True, kw_only=True)
class GenerativeQuestionAnswering(TextToText):
    """Learn to write the first of the answers to a question on a text. The question is never cut, the text at its end.

    Metrics: `log_likelihood`, `perplexity`, and `exact_match` and `f1`, the best over the answers, means from 0 to 1.
    """

    question: str = "question"
    text: str = "context"
    answer: str = "answers"
    """The column of an answer, of a list of answers, or of SQuAD's {"text": answers, …}."""
    language: Language = "en"
    """How answers are compared: by words (en), or by characters and words (zh)."""
    prefix: str = "question: "
    between: str = " context: "
    """What stands between a question and its text."""
    separator: str = "\nanswer:\n"
    max_new_tokens: int = 48

    def __post_init__(self) -> None:
        super().__post_init__()
        check_columns({"question": self.question, "text": self.text, "answer": self.answer})
        if self.language not in get_args(Language):
            raise RequestError(f"task.language is {self.language!r}: use {' or '.join(get_args(Language))}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.question, self.text, self.answer)

    def row(self, record: Mapping[str, Any]) -> Row:
        asked = {"question": text_of(record, self.question).strip(), "text": text_of(record, self.text).strip()}
        return {**asked, "answers": self._answers(record)}

    def _answers(self, record: Mapping[str, Any]) -> list[str]:
        """The answers in a record, in order; raises Unfit where there are none."""
        value = record.get(self.answer)
        found = value.get("text") if isinstance(value, Mapping) else value
        answers = [text.strip() for text in found if isinstance(text, str)] if isinstance(found, list) else [text_of(record, self.answer)]
        if not any(answers):
            raise Unfit(f"no-{self.answer}")
        return [text for text in answers if text]

    @property
    def form(self) -> str:
        return f"{self.prefix}…{self.between}…"

    def exchanges(self, row: Row) -> Sequence[Exchange]:
        return (Exchange(f"{self.prefix}{row['question']}{self.between}", row["text"], row["answers"][0]),)

    def text_scores(self, row: Row, text: str) -> Mapping[str, float]:
        match = best_match(text, row["answers"], self.language)
        return {"exact_match": match.exact, "f1": match.f1}

    def text_metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {name: totals[name] / totals["n"] for name in ("exact_match", "f1")}
