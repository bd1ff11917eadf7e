"""Preferences: of two answers to a question, a model learns to find the better one likelier than it did."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, Answered, Arrays, FinetuneTask, Row, Shown, Unfit, check_columns
from pipeline.finetune.conversation import Marked, check_converses, check_some_fit, end_answers, message_of, messages_of
from pipeline.finetune.examples import as_json
from pipeline.inference.chat import said
from pipeline.metrics.likelihood import preference_metrics, preference_scores
from pipeline.workflow.fingerprint import Json

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.reader import Reader

Pair = tuple[Marked, Marked]
"""The better conversation and the worse one, which are the same up to their last answers."""


@dataclass(frozen=True, kw_only=True)
class PreferenceTuning(FinetuneTask):
    """Direct preference optimization (Rafailov and others, 2023, arXiv:2305.18290).

    The loss of a pair is −log σ(β · ((log π(c) − log ρ(c)) − (log π(r) − log ρ(r)))): c is the chosen answer and r the rejected one,
    π the model that is trained, and ρ the checkpoint as it was. What ρ finds is computed once, when examples are encoded.

    Metrics: `accuracy`, the share of pairs whose chosen answer has the greater reward; `margin`, by how much, on average;
    `log_likelihood`, minus the loss; and `fit`, the share of pairs that differ where they fit the model, which alone are asked about.
    """

    opened_by: ClassVar[str] = "AutoModelForCausalLM"
    watched: ClassVar[str] = "log_likelihood"
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "labels", "rejected_ids", "rejected_labels", "reference")
    filling: ClassVar[Mapping[str, int]] = {"labels": IGNORED, "rejected_labels": IGNORED}
    prompt: str = "prompt"
    """The column of what is answered: a text, or a conversation (a list of role and content, or of from and value)."""
    chosen: str = "chosen"
    """The column of the better answer: a text, or a message."""
    rejected: str = "rejected"
    beta: float = 0.1
    """How dear it is to depart from the checkpoint."""

    def __post_init__(self) -> None:
        check_columns({"prompt": self.prompt, "chosen": self.chosen, "rejected": self.rejected})
        if not 0 < self.beta < float("inf"):
            raise RequestError(f"task.beta is {self.beta}: use more than 0, such as 0.1")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.prompt, self.chosen, self.rejected)

    def row(self, record: Mapping[str, Any]) -> Row:
        asked = record.get(self.prompt)
        messages = messages_of([said("user", asked)] if isinstance(asked, str) else asked, self.prompt)
        if messages[-1]["role"] == "assistant":
            raise Unfit("ends-without-a-question")
        chosen, rejected = (_answer(record.get(column), column) for column in (self.chosen, self.rejected))
        if chosen == rejected:
            raise Unfit("chosen-is-rejected")
        return {"messages": [dict(message) for message in messages], "chosen": chosen, "rejected": rejected}

    def check(self, reader: "Reader") -> None:
        check_converses(reader)

    def prepare(self, model: Any, reader: "Reader") -> None:
        end_answers(model, reader)

    def shown(self, row: Row, reader: "Reader") -> Shown:
        chosen, rejected = _pair(row, reader)
        window = {"input_ids": chosen.ids, "labels": chosen.labels, "rejected_ids": rejected.ids, "rejected_labels": rejected.labels}
        return Shown((window,), chosen.truncated or rejected.truncated)

    def completed(self, windows: Sequence[Arrays], reader: "Reader") -> Sequence[Arrays]:
        """Each pair with the log-likelihoods that the checkpoint gives its answers."""
        pairs = [(_marked(each["input_ids"], each["labels"]), _marked(each["rejected_ids"], each["rejected_labels"])) for each in windows]
        return [{**each, "reference": likely} for each, likely in zip(windows, _of_checkpoint(pairs, reader), strict=True)]

    def losses(self, model: Any, inputs: "Mapping[str, Tensor]") -> "Tensor":
        import torch
        from torch.nn.functional import logsigmoid

        from pipeline.finetune.likelihood import log_likelihoods
        from pipeline.finetune.packing import logits_of

        ids = _stacked(inputs["input_ids"], inputs["rejected_ids"], 0)
        labels = _stacked(inputs["labels"], inputs["rejected_labels"], IGNORED)
        found = log_likelihoods(logits_of(model, ids, torch.ones_like(ids)), labels).sum(dim=1)
        chosen, rejected = (found - inputs["reference"].T.flatten().to(found.dtype)).chunk(2)
        return -logsigmoid(self.beta * (chosen - rejected))

    def answers(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        """The log-likelihoods [chosen, rejected] of each pair, those that the checkpoint gives it, and the margin of rewards."""
        pairs: list[Pair | str] = []
        for row in rows:
            try:
                pairs.append(_pair(row, reader))
            except Unfit as problem:
                pairs.append(str(problem))
        fit = [(row, pair) for row, pair in zip(rows, pairs, strict=True) if not isinstance(pair, str)]
        likely = iter(_likelihoods(model, [pair for _, pair in fit], reader))
        before = iter(_remembered(fit, reader))
        return (
            {"unfit": pair} if isinstance(pair, str) else self._told(next(likely), next(before))  # in their order
            for pair in pairs
        )

    def glances(self, model: Any, rows: Sequence[Row], reader: "Reader") -> Iterator[Json]:
        said = list(self.answers(model, rows, reader))
        check_some_fit(said)
        return iter(said)

    def _told(self, likely: list[float], before: list[float]) -> dict[str, Any]:
        margin = self.beta * ((likely[0] - before[0]) - (likely[1] - before[1]))
        return {"log_likelihoods": likely, "reference": before, "margin": margin}

    def score(self, answered: Answered) -> Mapping[str, float]:
        said: Any = answered.prediction
        return {} if "unfit" in said else preference_scores(said["margin"])

    def metrics(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return preference_metrics(totals)


def _answer(value: Any, column: str) -> str:
    """An answer that is a text, a message, or a list of one; raises Unfit."""
    alone = value[0] if isinstance(value, list) and len(value) == 1 else value
    if alone is None:
        raise Unfit(f"no-{column}")
    message = message_of(said("assistant", alone) if isinstance(alone, str) else alone)
    if message["role"] != "assistant":
        raise Unfit(f"{column}-is-no-answer")
    if not message["content"]:
        raise Unfit(f"empty-{column}")
    return message["content"]


def _pair(row: Row, reader: "Reader") -> Pair:
    """The two conversations, with their last answers alone to be judged; raises Unfit."""
    asked = row["messages"]
    chosen, rejected = (
        reader.chat.marked([*asked, said("assistant", row[name])], reader.room, len(asked)) for name in ("chosen", "rejected")
    )
    if chosen.ids == rejected.ids:
        raise Unfit("the-same-where-cut")
    return chosen, rejected


def _marked(ids: Sequence[float], labels: Sequence[float]) -> Marked:
    """A conversation out of a window."""
    return Marked([int(token) for token in ids], [int(token) for token in labels])


def _likelihoods(model: Any, pairs: Sequence[Pair], reader: "Reader") -> list[list[float]]:
    """The log-likelihoods [chosen, rejected] that a model gives the answers of each pair, in nats."""
    from pipeline.finetune.likelihood import answer_likelihoods

    found = answer_likelihoods(model, [each for pair in pairs for each in pair], reader.padding)
    return [found[place : place + 2] for place in range(0, len(found), 2)]


def _of_checkpoint(pairs: Sequence[Pair], reader: "Reader") -> list[list[float]]:
    """What the checkpoint as it was says of pairs."""
    import torch

    from pipeline.inference.opening import open_model

    if not pairs:
        return []
    with torch.no_grad():
        return _likelihoods(open_model(reader.folder, dtype=torch.float32), pairs, reader)


@lru_cache(maxsize=1)
def _memory(reader: "Reader") -> dict[str, list[float]]:  # noqa: ARG001 - it is the key
    """What a checkpoint said of rows, by the rows: it is asked about validation examples once, not at each look."""
    return {}


def _remembered(fit: Sequence[tuple[Row, Pair]], reader: "Reader") -> list[list[float]]:
    memory = _memory(reader)
    new = {as_json(row): pair for row, pair in fit if as_json(row) not in memory}
    memory |= zip(new, _of_checkpoint(list(new.values()), reader), strict=True)
    return [memory[as_json(row)] for row, _ in fit]


def _stacked(chosen: "Tensor", rejected: "Tensor", filling: int) -> "Tensor":
    """The rows of both, one after the other, filled up behind."""
    import torch
    from torch.nn.functional import pad

    width = max(chosen.shape[1], rejected.shape[1])
    return torch.cat([pad(each, (0, width - each.shape[1]), value=filling) for each in (chosen, rejected)])
