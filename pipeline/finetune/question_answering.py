"""Questions on a text, answered by the place in it where the answer stands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.finetune.base import Answered, FinetuneTask, Row, Shown, Unfit, check_columns, text_of
from pipeline.finetune.overlaps import overlapping
from pipeline.metrics.reading import Language, best_match
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Reader

ROWS_AT_ONCE, WINDOWS_AT_ONCE = 256, 32
MISPLACED, UNANSWERABLE = "answer-not-at-its-place", "unanswerable"


class Posed(NamedTuple):
    """A question and a part of its text as a model is shown them: the part's tokens [begin, end) of the text stand from `offset` on.

    At the place `none`, it says that the answer is not in this part.
    """

    ids: list[int]
    offset: int
    begin: int
    end: int
    none: int

    @property
    def allowed(self) -> list[int]:
        """1 where an answer may begin or end, and at `none`."""
        inside = range(self.offset, self.offset + self.end - self.begin)
        return [int(place in inside or place == self.none) for place in range(len(self.ids))]


class Found(NamedTuple):
    """The likeliest answer in a window: its log-probability in nats, its first and its last token in the text, or where it has none."""

    score: float
    tokens: tuple[int, int] | None
    none: float
    """The log-probability that the answer is not in the window."""


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(FinetuneTask):
    """Learn where in a text the answer to a question begins and ends (SQuAD; Rajpurkar and others, 2016, arXiv:1606.05250).

    Metrics: `exact_match` and `f1`, the best over the right answers, means from 0 to 1. A text that does not fit is read in windows, a
    third of each in the next one; a question is cut where it takes more than half of the room. In a window without the answer, the
    first token is learned in its place (of an encoder-decoder, the last one). Of all windows, the likeliest span is the answer.
    """

    opened_by: ClassVar[str] = "AutoModelForQuestionAnswering"
    watched: ClassVar[str] = "f1"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "allowed", "begins", "ends")
    filling: ClassVar[Mapping[str, int]] = {"attention_mask": 0, "allowed": 0}
    question: str = "question"
    text: str = "context"
    answer: str = "answers"
    """The column of the answers: {"text": texts, "answer_start": characters before them}, or a list of such pairs."""
    unanswerable: bool = False
    """Whether questions without an answer are learned too (SQuAD 2); else they are left out."""
    longest: int = 64
    """Greatest number of tokens of an answer that is given."""
    language: Language = "en"
    """How answers are compared: by words (en), or by characters and words (zh)."""

    def __post_init__(self) -> None:
        check_columns({"question": self.question, "text": self.text, "answer": self.answer})
        if self.longest < 1:
            raise RequestError(f"task.longest is {self.longest}: use at least 1")
        if self.language not in get_args(Language):
            raise RequestError(f"task.language is {self.language!r}: use {' or '.join(get_args(Language))}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.question, self.text, self.answer)

    def row(self, record: Mapping[str, Any]) -> Row:
        text, question = text_of(record, self.text), text_of(record, self.question).strip()
        answers = answers_of(record, self.answer)
        if not answers:
            if not self.unanswerable:
                raise Unfit(UNANSWERABLE)
            return {"question": question, "text": text, "answers": [], "place": None}
        for answer, begin in answers:
            if begin >= 0 and answer.strip() and text.startswith(answer, begin):
                first = begin + len(answer) - len(answer.lstrip())
                right = list(dict.fromkeys(answer for answer, _ in answers))
                return {"question": question, "text": text, "answers": right, "place": [first, first + len(answer.strip())]}
        raise Unfit(MISPLACED)

    def shown(self, row: Row, reader: "Reader") -> Shown:
        text = reader.pieces(row["text"])
        first, last = (-1, -1) if row["place"] is None else _tokens_of(row["place"], text.spans)
        shown = []
        for posed in self._posed(row, text.ids, reader):
            inside = posed.begin <= first and last < posed.end
            begin, end = (posed.offset + place - posed.begin if inside else posed.none for place in (first, last))
            arrays = {"input_ids": posed.ids, "attention_mask": [1] * len(posed.ids), "allowed": posed.allowed}
            shown.append({**arrays, "begins": [begin], "ends": [end]})
        return Shown(tuple(shown))

    def _posed(self, row: Row, text: Sequence[int], reader: "Reader") -> Iterator[Posed]:
        """The windows of a question's text; raises Unfit where the context has no room for them."""
        room = reader.room - len(reader.begin) - len(reader.between) - len(reader.end)
        if room < 2:
            raise Unfit("context-too-short")
        question = reader.pieces(row["question"]).ids[: room // 2]
        before = [*reader.begin, *question, *reader.between]
        left = room - len(question)
        for window in overlapping(len(text), left, left // 3):
            ids = [*before, *text[window.begin : window.end], *reader.end]
            yield Posed(ids, len(before), window.begin, window.end, 0 if reader.begin else len(ids) - 1)

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import cross_entropy

        said = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        begins, ends = (
            cross_entropy(logits.float().masked_fill(inputs["allowed"] == 0, -np.inf), inputs[name][:, 0], reduction="none")
            for logits, name in ((said.start_logits, "begins"), (said.end_logits, "ends"))
        )
        return (begins + ends) / 2

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The answer, the character that it begins at (None: there is none), and its probability in the window that it stands in."""
        for first in range(0, len(rows), ROWS_AT_ONCE):
            yield from self._answers(model, rows[first : first + ROWS_AT_ONCE], reader)

    def _answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        from pipeline.finetune.batches import in_batches

        texts = [reader.pieces(row["text"]) for row in rows]
        posed = [list(self._posed(row, text.ids, reader)) for row, text in zip(rows, texts, strict=True)]

        def places(inputs: "Mapping[str, Tensor]") -> list[NDArray[np.float32]]:
            said = model(**inputs)
            return list(np.stack([logits.float().cpu().numpy() for logits in (said.start_logits, said.end_logits)], axis=1))

        shown = [each.ids for windows in posed for each in windows]
        logits = in_batches(shown, places, reader.padding, model.device, WINDOWS_AT_ONCE)
        for row, text, windows in zip(rows, texts, posed, strict=True):
            yield self._answer(row["text"], text.spans, [likeliest(each, next(logits), self.longest) for each in windows])

    def _answer(self, text: str, spans: Sequence[tuple[int, int]], found: Sequence[Found]) -> Json:
        """The best of what was found in the windows."""
        best, none = max(found, key=lambda each: each.score), min(each.none for each in found)
        if best.tokens is None or (self.unanswerable and none > best.score):
            return {"answer": "", "begin": None, "probability": float(np.exp(none))}
        begin, end = spans[best.tokens[0]][0], spans[best.tokens[1]][1]
        answer = text[begin:end]
        return {
            "answer": answer.strip(),
            "begin": begin + len(answer) - len(answer.lstrip()),
            "probability": float(np.exp(best.score)),
        }

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        match = best_match(said["answer"], answered.row["answers"] or [""], self.language)
        return {"exact_match": match.exact, "f1": match.f1}

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {name: totals[name] / totals["n"] for name in ("exact_match", "f1")}


def answers_of(record: Mapping[str, Any], column: str) -> list[tuple[str, int]]:
    """The answers in a column, and the characters before each; raises Unfit where they are not as SQuAD has them."""
    value = record.get(column)
    if value is None:
        raise Unfit(f"no-{column}")
    try:
        if isinstance(value, Mapping):
            return [(str(text), int(begin)) for text, begin in zip(value["text"], value["answer_start"], strict=True)]
        return [(str(answer["text"]), int(answer["answer_start"])) for answer in value]
    except (KeyError, TypeError, ValueError):
        raise Unfit(f"{column}-are-not-squad") from None


def _tokens_of(place: tuple[int, int], spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The first and the last token that has a character of a place in a text; raises Unfit where none has."""
    begin, end = place
    own = [number for number, (first, last) in enumerate(spans) if first < last and last > begin and first < end]
    if not own:
        raise Unfit("no-token-of-the-answer")
    return own[0], own[-1]


def likeliest(posed: Posed, logits: NDArray[np.float32], longest: int) -> Found:
    """The likeliest span of at most `longest` tokens in a window, of logits [2, T] of where it begins and ends: the best of all."""
    allowed = np.flatnonzero(posed.allowed)
    greatest = logits[:, allowed].max(axis=1, keepdims=True)
    scores = logits - greatest - np.log(np.exp(logits[:, allowed] - greatest).sum(axis=1, keepdims=True))
    none = float(scores[:, posed.none].sum())
    begins, ends = scores[:, posed.offset : posed.offset + posed.end - posed.begin]
    if not len(begins):
        return Found(none, None, none)
    best = [(begins[: len(begins) - more] + ends[more:], more) for more in range(min(longest, len(begins)))]
    sums, more = max(best, key=lambda each: each[0].max())
    first = int(sums.argmax())
    return Found(float(sums[first]), (posed.begin + first, posed.begin + first + more), none)
