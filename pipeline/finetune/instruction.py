"""Answers to instructions: a model that continues texts learns to converse."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.finetune.base import IGNORED, Answered, Arrays, FinetuneTask, Row, Shown, Unfit, check_columns, text_of
from pipeline.finetune.conversation import Marked, check_converses, check_some_fit, end_answers, messages_of
from pipeline.inference.chat import said
from pipeline.metrics.likelihood import answer_metrics, answer_scores
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Reader

WRITTEN, TOKENS_WRITTEN = 8, 128
"""How many answers are written to be looked at, and how long they are at most."""


@dataclass(frozen=True, kw_only=True)
class InstructionTuning(FinetuneTask):
    """Learn the assistant's answers of conversations, every one with the token that ends it (Ouyang and others, 2022, arXiv:2203.02155).

    A record is an instruction, perhaps with an input to it, and an output, as Alpaca has them, or a conversation in one column.
    What does not fit is cut at its end. Conversations are packed into windows where the family of the model can read them there as if
    they stood alone; each of them counts as much as any other, by the mean over its answers' tokens.

    Metrics: `log_likelihood` (minus the loss) and `perplexity`, both of the answers' tokens; and `fit`, the share of rows of which some
    answer fits the model, which alone are asked about. Some answers are written, too.
    """

    opened_by: ClassVar[str] = "AutoModelForCausalLM"
    watched: ClassVar[str] = "log_likelihood"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "documents", "labels")
    filling: ClassVar[Mapping[str, int]] = {"documents": 0, "labels": IGNORED}
    instruction: str = "instruction"
    input: str = "input"
    """The column of what an instruction is about; a record may be without it."""
    output: str = "output"
    messages: str | None = None
    """The column of a conversation (a list of role and content, or of from and value); None: a record has an instruction."""

    def __post_init__(self) -> None:
        check_columns({"instruction": self.instruction, "input": self.input, "output": self.output})
        if self.messages is not None:
            check_columns({"messages": self.messages})

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.instruction, self.output) if self.messages is None else (self.messages,)

    def row(self, record: Mapping[str, Any]) -> Row:
        if self.messages is not None:
            messages = messages_of(record.get(self.messages), self.messages)
        else:
            about = text_of(record, self.input).strip() if str(record.get(self.input) or "").strip() else ""
            asked = "\n".join(filter(None, (text_of(record, self.instruction).strip(), about)))
            messages = [said("user", asked), said("assistant", text_of(record, self.output).strip())]
        while messages[-1]["role"] != "assistant":  # nothing is learned from what stands behind the last answer
            messages.pop()
            if not messages:
                raise Unfit("no-answer")
        return {"messages": [dict(message) for message in messages]}

    def check(self, reader: "Reader") -> None:
        check_converses(reader)

    def prepare(self, model: Any, reader: "Reader") -> None:
        end_answers(model, reader)

    def shown(self, row: Row, reader: "Reader") -> Shown:
        marked = reader.chat.marked(row["messages"], reader.room)
        window = {"input_ids": marked.ids, "documents": [1] * len(marked.ids), "labels": marked.labels}
        return Shown((window,), marked.truncated)

    def completed(self, windows: Sequence[Arrays], reader: "Reader") -> Sequence[Arrays]:
        from pipeline.finetune.packing import joined

        return [joined([windows[number] for number in group]) for group in self.together(windows, reader)] if _packs(reader) else windows

    def together(self, windows: Sequence[Arrays], reader: "Reader") -> Sequence[Sequence[int]]:
        from pipeline.finetune.packing import best_fit

        if not _packs(reader):
            return super().together(windows, reader)
        return best_fit([len(window["input_ids"]) for window in windows], reader.room)

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        """The sum over a window's conversations of the mean over the tokens of each that are learned."""
        from pipeline.finetune.likelihood import log_likelihoods
        from pipeline.finetune.packing import logits_of

        documents, labels = inputs["documents"], inputs["labels"]
        found = log_likelihoods(logits_of(model, inputs["input_ids"], documents), labels)
        own, counted = documents[:, 1:], (labels[:, 1:] != IGNORED).to(found.dtype)
        counts = found.new_zeros(len(found), int(documents.max()) + 1).scatter_add(1, own, counted)
        return -(found / counts.gather(1, own).clamp(min=1)).sum(dim=1)

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """How likely the answers of each row are, {"log_likelihood", "tokens"}; of the first ones, what the model writes itself."""
        from pipeline.inference.generation import Sampling, write

        said = list(self._likelihoods(model, rows, reader))
        chosen = [number for number, each in enumerate(said) if "unfit" not in each][:WRITTEN]
        asked = [reader.chat.tokens(rows[number]["messages"][:-1], asks=True) for number in chosen]
        texts = write(model, reader.tokenizer, asked, Sampling(max_new_tokens=TOKENS_WRITTEN, temperature=0))
        for number, (text,) in zip(chosen, texts, strict=True):
            said[number] = {**said[number], "written": text.text}
        return iter(said)

    def glances(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        said = list(self._likelihoods(model, rows, reader))
        check_some_fit(said)
        return iter(said)

    def _likelihoods(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[dict[str, Any]]:
        from pipeline.finetune.likelihood import answer_likelihoods

        found = [_or_why(row, reader) for row in rows]
        likely = iter(answer_likelihoods(model, [each for each in found if isinstance(each, Marked)], reader.padding))
        for each in found:
            if isinstance(each, Marked):
                yield {"log_likelihood": next(likely), "tokens": sum(label != IGNORED for label in each.labels)}
            else:
                yield {"unfit": each}

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        return {} if "unfit" in said else answer_scores(said["log_likelihood"], said["tokens"])

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return answer_metrics(totals)


def _or_why(row: Row, reader: "Reader") -> Marked | str:
    """A row as it is learned from, or why it cannot be."""
    try:
        return reader.chat.marked(row["messages"], reader.room)
    except Unfit as problem:
        return str(problem)


def _packs(reader: "Reader") -> bool:
    """Whether windows are filled with several rows."""
    from pipeline.finetune.packing import can_pack
    from pipeline.finetune.reader import UNBOUNDED

    return can_pack(reader.family) and reader.room < UNBOUNDED
