"""Dialogue: the next turn after those before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.finetune.base import Row, Unfit, check_columns, text_of
from pipeline.finetune.fitting import Side
from pipeline.finetune.text_to_text import Exchange, TextToText
from pipeline.metrics.rouge import rouge_metrics, rouge_scores


@dataclass(frozen=True, kw_only=True)
class DialogueResponse(TextToText):
    """Learn each turn of a dialogue from all before it; of a long dialogue, the last turns are shown. The last turn of a validation
    dialogue is what is scored. Metrics: `log_likelihood`, `perplexity`, and `rouge1`, `rouge2` and `rougeL`, mean F1 from 0 to 1.
    """

    cut: ClassVar[Side] = "begin"
    dialogue: str = "dialogue"
    """The column of a list of turns, or of a text with a turn a line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_columns({"dialogue": self.dialogue})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.dialogue,)

    def row(self, record: Mapping[str, Any]) -> Row:
        value = record.get(self.dialogue)
        said = value if isinstance(value, list) else text_of(record, self.dialogue).splitlines()
        if not all(isinstance(turn, str) for turn in said):
            raise Unfit(f"{self.dialogue}-has-turns-that-are-no-text")
        turns = [line for turn in said if (line := " ".join(turn.split()))]
        if len(turns) < 2:
            raise Unfit("no-answer")
        return {"turns": turns}

    def exchanges(self, row: Row) -> Sequence[Exchange]:
        turns = row["turns"]
        return tuple(Exchange(self.prefix, "\n".join(turns[:place]), turns[place]) for place in range(1, len(turns)))

    def text_scores(self, row: Row, text: str) -> Mapping[str, float]:
        return rouge_scores(text, row["turns"][-1])

    def text_metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return rouge_metrics(totals)
