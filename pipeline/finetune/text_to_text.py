"""Tasks whose answer is a text: what is shown before it, what of it is learned, and how it is written.

An encoder-decoder reads the source and writes the target. A decoder is shown the source and a separator and goes on with the target,
which alone is learned. Both end it with the token that ends a text.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pipeline.errors import RequestError, RunError
from pipeline.finetune.base import IGNORED, Answered, Arrays, FinetuneTask, Row, Shown, Unfit
from pipeline.finetune.fitting import Side, fitted
from pipeline.finetune.reader import Fitted
from pipeline.metrics.likelihood import answer_metrics, answer_scores
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Kind, Reader

TOO_LONG = "target-too-long"


class Exchange(NamedTuple):
    """A source, and what is to be written of it. What stands `before` the source is never cut."""

    before: str
    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class TextToText(FinetuneTask):
    """Learn to write. Metrics: `log_likelihood` of the targets (minus the loss), `perplexity`, and those of the texts that are
    written; `fit` is the share of rows that have a likelihood.

    The likelihood says which weights are best, and is all that is looked at while a model is trained: writing takes too long for that.
    Texts are written by the likeliest token at each step.

    A source is cut where it does not fit; a target never, for without its end it is another one: such a row (`target-too-long`) is left
    out of training and has no likelihood, but what is written of it counts. A decoder's source leaves room in the context for
    `max_new_tokens`, or for half of the context where that is less, whatever the length of its target.
    """

    watched: ClassVar[str] = "log_likelihood"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "labels")
    cut: ClassVar[Side] = "end"
    """The side on which a source is cut."""
    prefix: str = ""
    """What stands before a source: what is to be done with it."""
    separator: str = "\n"
    """What stands between a source and its target for a decoder."""
    max_new_tokens: int = 128
    """Greatest number of tokens of a text that is written; a decoder's source leaves them free, so raise it where targets do not fit."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"task.max_new_tokens is {self.max_new_tokens}: write at least 1")

    @abstractmethod
    def exchanges(self, row: Row) -> Sequence[Exchange]:
        """What is learned from a row; the last one is what it is scored by."""

    @abstractmethod
    def text_scores(self, row: Row, text: str) -> Mapping[str, float]:
        """What a text that was written is worth, as numbers that add up over rows."""

    @abstractmethod
    def text_metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """The metrics of texts, from totals of their scores."""

    def opener(self, kind: "Kind") -> str:
        return "AutoModelForCausalLM" if kind == "decoder" else "AutoModelForSeq2SeqLM"

    @property
    def form(self) -> str:
        """What a source is shown in, with … for it."""
        return f"{self.prefix}…"

    def asked(self, kind: "Kind") -> str:
        return self.form + (self.separator if kind == "decoder" else "")

    def prepare(self, model: Any, reader: "Reader") -> None:
        """Whoever opens the folder and has it write gets what was scored."""
        from transformers import GenerationConfig

        model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=self.answer_room(reader),
            eos_token_id=reader.stop,
            pad_token_id=reader.padding,
            bos_token_id=next(iter(reader.begin), None),
            decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
        )

    def shown(self, row: Row, reader: "Reader") -> Shown:
        windows, truncated = list[Arrays](), False
        for exchange in self.exchanges(row):
            prompt = self.prompt(exchange, reader)
            if (window := self.window(prompt.ids, exchange.target, reader)) is not None:
                windows.append(window)
                truncated |= prompt.truncated
        if not windows:
            raise Unfit(TOO_LONG)
        return Shown(tuple(windows), truncated)

    def prompt(self, exchange: Exchange, reader: "Reader") -> Fitted:
        """The tokens that a text is written after."""
        decodes = reader.kind == "decoder"
        room = reader.room - len(reader.begin) - len(reader.end) - (self.answer_room(reader) if decodes else 0)
        after = self.separator if decodes else ""
        shown = fitted(reader, exchange.before, exchange.source, after, room, self.cut)
        return Fitted([*reader.begin, *shown.ids, *reader.end], shown.truncated)

    def answer_room(self, reader: "Reader") -> int:
        """Tokens that a text may have: a decoder keeps half of its context for what it is written after."""
        return min(self.max_new_tokens, max(1, reader.room // 2) if reader.kind == "decoder" else reader.room)

    def window(self, prompt: Sequence[int], target: str, reader: "Reader") -> Arrays | None:
        """What a model is shown of a source, by the tokens of it, and its target; None where that does not fit."""
        learned = [*reader.pieces(target).ids, reader.stop]
        read = [*prompt, *learned] if reader.kind == "decoder" else prompt
        if max(len(read), len(learned)) > reader.room:
            return None
        labels = [*[IGNORED] * len(prompt), *learned] if reader.kind == "decoder" else learned
        return {"input_ids": read, "attention_mask": [1] * len(read), "labels": labels}

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        from torch.nn.functional import cross_entropy, pad

        labels = inputs["labels"]
        asked = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if model.config.is_encoder_decoder:
            begun = pad(labels, (1, -1), value=model.config.decoder_start_token_id)
            asked["decoder_input_ids"] = begun.masked_fill(begun == IGNORED, model.config.pad_token_id)
        else:
            labels = pad(labels, (-1, 1), value=IGNORED)
        logits = model(**asked, use_cache=False).logits
        each = cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
        return each.view_as(labels).sum(dim=1) / (labels != IGNORED).sum(dim=1)

    def glances(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The log-likelihood of each target that fits, in nats, and how many tokens it has."""
        yield from self._likelihoods(model, rows, [self.prompt(self.exchanges(row)[-1], reader).ids for row in rows], reader)

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The text that is written, and what is glanced at."""
        from pipeline.inference.generation import Sampling, write

        prompts = [self.prompt(self.exchanges(row)[-1], reader).ids for row in rows]
        texts = write(model, reader.tokenizer, prompts, Sampling(max_new_tokens=self.answer_room(reader), temperature=0))
        for (written,), likelihood in zip(texts, self._likelihoods(model, rows, prompts, reader), strict=True):
            yield {"text": written.text.strip(), **likelihood}

    def _likelihoods(
        self, model: Any, rows: Sequence[Row], prompts: Sequence[Sequence[int]], reader: "Reader"
    ) -> Iterator[dict[str, Json]]:
        from pipeline.finetune.losses import losses_of

        targets = [self.exchanges(row)[-1].target for row in rows]
        windows = [self.window(prompt, target, reader) for prompt, target in zip(prompts, targets, strict=True)]
        fitting = [window for window in windows if window is not None]
        if not fitting:
            raise RunError(f"none of {len(rows)} validation examples fits the model ({TOO_LONG}): raise context, or give shorter ones")
        losses = iter(losses_of(self, model, fitting, reader.padding))
        for window in windows:
            tokens = sum(label != IGNORED for label in window["labels"]) if window else 0
            yield {"log_likelihood": -next(losses) * tokens, "tokens": tokens} if window else {}

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        likelihood = answer_scores(said["log_likelihood"], said["tokens"]) if "tokens" in said else {}
        return {**likelihood, "written": 1.0, **self.text_scores(answered.row, said["text"])} if "text" in said else likelihood

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        likelihood = answer_metrics(totals)
        return {**likelihood, **self.text_metrics(totals)} if "written" in totals else likelihood
