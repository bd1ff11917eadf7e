"""A tag a word: which words name people, places and what else is to be found in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, Answered, FinetuneTask, Row, Shown, Unfit, check_columns
from pipeline.finetune.overlaps import Window, overlapping
from pipeline.finetune.words import Joining, read_words
from pipeline.metrics.entities import OUTSIDE, as_bio, entities, entity_metrics, entity_scores, is_tag
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Reader

ROWS_AT_ONCE, WINDOWS_AT_ONCE = 512, 64
Said = tuple[int, float]
"""The number of the likeliest label, and its probability."""


@dataclass(frozen=True, kw_only=True)
class TokenClassification(FinetuneTask):
    """Learn the tag of each word of a sentence. Metrics: `precision`, `recall` and `f1` of entities (micro), `f1/TYPE` of each type.

    A word's tag is learned and said at its first token alone. Tags are BIO; those of IOB1, BIOES, BILOU and BMES are turned into it.
    A sentence that does not fit is read in windows, of which each word is learned and said in the one that shows most around it.

    Records have lists of words and of tags. In Chinese, words may be single characters.
    """

    opened_by: ClassVar[str] = "AutoModelForTokenClassification"
    watched: ClassVar[str] = "f1"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "labels")
    tokens: str = "tokens"
    """The column of the list of words."""
    tags: str = "tags"
    """The column of the list of tags, as many as words."""
    joining: Joining = "by-script"
    """What stands between two words of running text: by-script (a space, but none beside Chinese or Japanese), spaces, or nothing."""

    def __post_init__(self) -> None:
        check_columns({"tokens": self.tokens, "tags": self.tags})
        if self.joining not in get_args(Joining):
            raise RequestError(f"task.joining is {self.joining!r}: use {', '.join(get_args(Joining))}")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.tokens, self.tags)

    def row(self, record: Mapping[str, Any]) -> Row:
        words, tags = (list_of(record, column) for column in self.columns)
        if len(words) != len(tags):
            raise Unfit(f"{self.tokens}-and-{self.tags}-differ-in-number")
        if not any(word.strip() for word in words):
            raise Unfit(f"empty-{self.tokens}")
        if not all(map(is_tag, tags)):
            raise Unfit(f"{self.tags}-are-not-BIO")
        return {"tokens": words, "tags": as_bio(tags)}

    def labels(self, row: Row) -> tuple[str, ...]:
        """Both tags of each type in it, for a type may have longer names elsewhere."""
        types = sorted({entity.type for entity in entities(row["tags"])})
        return (OUTSIDE, *(f"{mark}-{name}" for name in types for mark in "BI"))

    def shown(self, row: Row, reader: "Reader") -> Shown:
        ids, firsts = read_words(row["tokens"], self.joining, reader)
        targets = [IGNORED] * len(ids)
        for first, tag in zip(firsts, row["tags"], strict=True):
            if first is not None:
                targets[first] = reader.labels.index(tag)
        shown = []
        for window in windows_of(len(ids), reader):
            own = targets[window.first : window.last]
            behind = window.end - window.last + len(reader.end)
            labels = [*[IGNORED] * (len(reader.begin) + window.first - window.begin), *own, *[IGNORED] * behind]
            if any(target != IGNORED for target in own):
                window_ids = around(ids, window, reader)
                shown.append({"input_ids": window_ids, "attention_mask": [1] * len(window_ids), "labels": labels})
        if not shown:
            raise Unfit("no-token-of-a-word")
        return Shown(tuple(shown))

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import cross_entropy

        logits, labels = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits, inputs["labels"]
        each = cross_entropy(logits.float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
        return each.sum(dim=1) / (labels != IGNORED).sum(dim=1)

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The likeliest tag of each word, and its probability; a word that the tokenizer makes nothing of is outside (None)."""
        for first in range(0, len(rows), ROWS_AT_ONCE):
            yield from self._answers(model, rows[first : first + ROWS_AT_ONCE], reader)

    def _answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        from pipeline.finetune.batches import in_batches

        read = [read_words(row["tokens"], self.joining, reader) for row in rows]
        windows = [(number, window) for number, words in enumerate(read) for window in windows_of(len(words.ids), reader)]

        def likely(inputs: "Mapping[str, Tensor]") -> list[list[Said]]:
            best = model(**inputs).logits.float().softmax(dim=-1).max(dim=-1)
            return [list(zip(*each, strict=True)) for each in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

        shown = [around(read[number].ids, window, reader) for number, window in windows]
        said: list[list[Said]] = [[] for _ in rows]
        for (number, window), each in zip(windows, in_batches(shown, likely, reader.padding, model.device, WINDOWS_AT_ONCE), strict=True):
            before = len(reader.begin) - window.begin
            said[number] += each[before + window.first : before + window.last]
        for words, of_tokens in zip(read, said, strict=True):
            of_words = [None if first is None else of_tokens[first] for first in words.firsts]
            yield {
                "tags": [OUTSIDE if one is None else reader.labels[one[0]] for one in of_words],
                "probabilities": [None if one is None else one[1] for one in of_words],
            }

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        return entity_scores(answered.row["tags"], said["tags"])

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return entity_metrics(totals)


def list_of(record: Mapping[str, Any], column: str) -> list[str]:
    """The list of texts in a column; raises Unfit where there is none."""
    value = record.get(column)
    if value is None:
        raise Unfit(f"no-{column}")
    if not isinstance(value, list) or any(item is None or isinstance(item, list | dict) for item in value):
        raise Unfit(f"{column}-is-no-list-of-texts")
    return list(map(str, value))


def windows_of(count: int, reader: "Reader") -> Iterator[Window]:
    """The windows of so many tokens, half of each in the next one; raises Unfit where the context has no room for one."""
    room = reader.room - len(reader.begin) - len(reader.end)
    if room < 1:
        raise Unfit("context-too-short")
    return overlapping(count, room, room // 2)


def around(ids: Sequence[int], window: Window, reader: "Reader") -> list[int]:
    """A window's tokens, with those that stand around a text."""
    return [*reader.begin, *ids[window.begin : window.end], *reader.end]
