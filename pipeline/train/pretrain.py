"""Pretraining: a mixture of token shards and an architecture in, a model that transformers opens out."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.batches.mixture import Weighted
from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.train.card import model_card
from pipeline.train.checkpoint import METRICS, MODEL, Checkpoint, Checkpoints
from pipeline.train.engine import Engine, Engines, Update
from pipeline.train.plain import PlainEngines
from pipeline.train.schedule import Schedule
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import execution
from pipeline.workflow.reach import code_digest, code_of
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:  # a recipe is read without loading torch
    from pipeline.tokens.shards import TokenShards
    from pipeline.train.loop import Attend, Loop

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pretrain(Step[Checkpoint]):
    """Train a model from random weights on `token_budget` tokens, in steps of `batch` windows of `context` tokens.

    Killed and started again, it goes on from its newest whole checkpoint, and ends in the same weights, bit for bit, where
    gang, engine and micro-batch are the same.
    """

    artifact: ClassVar[type[Artifact]] = Checkpoint
    mixture: tuple[Weighted, ...]
    model: Architecture
    context: int
    """Tokens in a window: the model's greatest context."""
    batch: int
    """Windows in a step, over all workers."""
    token_budget: int
    """Greatest number of tokens to train on, repeats counted."""
    schedule: Schedule = field(default_factory=Schedule)
    update: Update = field(default_factory=Update)
    attend: "Attend" = "document"
    """Whether attention stays inside a document or sees all of a window."""
    seed: int = 0
    """Of the first weights and of the order of the data."""
    engines: Engines = execution(PlainEngines())
    workers: int = execution(1)
    """Processes of the gang."""
    micro_batch: int = execution(8)
    """Greatest number of windows that a worker takes at once."""
    save_every: int = execution(500)
    """Steps between checkpoints to resume from."""
    validate_every: int | None = execution(None)
    """Steps between looks at the held-out loss; None for ten in a run."""

    def __post_init__(self) -> None:
        if not self.mixture:
            raise RequestError("mixture is empty: name at least one Weighted(tokens=…) to train on")
        for name in ("context", "batch", "workers", "micro_batch", "save_every"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}: use at least 1")
        if self.batch % self.workers:
            raise RequestError(f"batch is {self.batch} windows, which {self.workers} workers cannot share evenly: use a multiple of {self.workers}")
        if self.steps < 1:
            raise RequestError(
                f"token_budget is {self.token_budget}, less than one step of {self.batch} × {self.context} tokens:"
                f" use at least {self.batch * self.context}"
            )
        if self.attend not in ("document", "window"):
            raise RequestError(f"attend is {self.attend!r}: use document or window")
        if len({part.tokens.tokenizer.address for part in self.mixture}) > 1:
            raise RequestError("the parts of the mixture have different tokenizers, so their ids mean different things: tokenize all with one")

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self.token_budget // (self.batch * self.context)

    @property
    def rows(self) -> int:
        """Windows that a worker takes at once: the greatest divisor of its share that is no more than `micro_batch`."""
        share = self.batch // self.workers
        return next(rows for rows in range(min(self.micro_batch, share), 0, -1) if share % rows == 0)

    def run(self, context: Context) -> Facts:
        return context.gang(self.train, self.workers).facts

    def train(self, unit: Unit, member: Member) -> Facts:
        """One member's work; the first one writes the model and the metrics."""
        from pipeline.train.loop import json_lines

        corpora = [unit.open(part.tokens) for part in self.mixture]
        engine = self._engine(corpora[0].vocab_size, member)
        loop = self._loop(unit, member, engine, corpora)
        rows = loop.run()
        weights = engine.weights()
        facts = self._facts(loop, rows, sum(weight.numel() for weight in weights.values()))
        if member.rank == 0:
            export = self.model.export(weights, corpora[0].vocab_size, self.context)
            self._write(unit, export, corpora, facts)
            unit.write(METRICS, json_lines(rows).encode(), ".jsonl", len(rows))
        return facts

    def _engine(self, vocab_size: int, member: Member) -> Engine:
        """The engine, around a model with the same weights in every member."""
        import torch

        torch.manual_seed(self.seed)
        model = self.model.build(vocab_size, self.context)
        return self.engines.start(model, self.update, self.batch // self.workers // self.rows, member)

    def _loop(self, unit: Unit, member: Member, engine: Engine, corpora: "list[TokenShards]") -> "Loop":
        from pipeline.batches.order import Order
        from pipeline.train.loop import Course, Loop
        from pipeline.train.peak import peak
        from pipeline.train.validation import held_out_windows

        course = Course(
            steps=self.steps,
            batch=self.batch,
            micro_batch=self.rows,
            context=self.context,
            attend=self.attend,
            schedule=self.schedule,
            save_every=self.save_every,
            validate_every=self.validate_every or -(-self.steps // 10),
        )
        return Loop(
            course=course,
            engine=engine,
            order=Order(self.mixture, corpora, self.context, self.batch, self.seed),
            held_out=held_out_windows(corpora, self.context),
            member=member,
            checkpoints=self._checkpoints(unit, member),
            flops_per_token=self.model.flops_per_token(corpora[0].vocab_size, self.context),
            peak=peak(engine.device, self.update.precision),
        )

    def _checkpoints(self, unit: Unit, member: Member) -> Checkpoints:
        """Where checkpoints to resume from lie: those of other code or of other input bytes do not count."""
        basis = code_digest(code_of(self) | {path: unit.open(step).manifest.content for path, step in self.inputs.items()})
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return Checkpoints(unit.store, f"{unit.address}/work/checkpoints/{basis}", f"{workers} with {self.engines}", member)
