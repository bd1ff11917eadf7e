"""Pretraining: a mixture of token shards and an architecture in, a model that transformers opens out."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pipeline.batches.mixture import Weighted, check_mixture
from pipeline.batches.order import Order, check_corpora
from pipeline.errors import RequestError
from pipeline.models.base import Architecture, Export
from pipeline.models.export import write_model
from pipeline.tokens.shards import TokenShards
from pipeline.train.card import Origin, model_card
from pipeline.train.checkpoint import METRICS, MODEL, Checkpoint, Checkpoints
from pipeline.train.engine import Engine, Engines, Update
from pipeline.train.loop import Attend, Course, Loop, json_lines, mfu
from pipeline.train.peak import peak
from pipeline.train.plain import PlainEngines
from pipeline.train.schedule import Schedule
from pipeline.train.validation import LOOKS, held_out_windows
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import execution
from pipeline.workflow.reach import code_digest, code_of
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Pretrain(Step[Checkpoint]):
    """Train a model from random weights on `token_budget` tokens, in steps of `batch` windows of `context` tokens.

    Killed and started again, it goes on from its newest whole checkpoint, and ends in the same weights, bit for bit, where
    workers, engine and micro-batch are the same.

    Facts: `steps`, `tokens`, `loss` {"first", "last"}, `tokens_per_second` (over all steps), `mfu`, `peak` (of one worker's
    device: operations a second, and where the figure is from), `parameters`, `workers`, `flops_per_token`.
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
    attend: Attend = "document"
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
        check_mixture(self.mixture)
        for name in ("context", "batch", "workers", "micro_batch", "save_every"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}: use at least 1")
        if self.batch % self.workers:
            raise RequestError(
                f"batch is {self.batch} windows, which {self.workers} workers cannot share evenly: use a multiple of {self.workers}"
            )
        if self.validate_every is not None and self.validate_every < 1:
            raise RequestError(f"validate_every is {self.validate_every}: use at least 1, or None")
        if self.steps < 1:
            raise RequestError(
                f"token_budget is {self.token_budget}, less than one step of {self.batch} × {self.context} tokens:"
                f" use at least {self.batch * self.context}"
            )
        if self.attend not in ("document", "window"):
            raise RequestError(f"attend is {self.attend!r}: use document or window")

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
        check_corpora(self.mixture, [context.open(part.tokens) for part in self.mixture], self.context)
        return context.gang(self.train, self.workers).facts

    def train(self, unit: Unit, member: Member) -> Facts:
        """One member's work; the first one writes the model and the metrics, and its facts count."""
        corpora = [unit.open(part.tokens) for part in self.mixture]
        engine = self._engine(corpora[0].vocab_size, member)
        loop = self._loop(unit, member, engine, corpora)
        with _repeatable(engine):
            rows = loop.run()
        weights = engine.weights()
        if member.rank > 0:
            return {}
        export = self.model.export(weights, corpora[0].vocab_size, self.context)
        facts = self._facts(loop, rows, export)
        self._write_model(unit, export, corpora, facts)
        unit.write(METRICS, json_lines(rows).encode(), ".jsonl", len(rows))
        return facts

    def _engine(self, vocab_size: int, member: Member) -> Engine:
        """The engine, around a model with the same weights in every member."""
        import torch

        torch.manual_seed(self.seed)
        model = self.model.build(vocab_size, self.context)
        return self.engines.start(model, self.update, self.batch // self.workers // self.rows, member)

    def _loop(self, unit: Unit, member: Member, engine: Engine, corpora: Sequence[TokenShards]) -> Loop:
        course = Course(
            steps=self.steps,
            batch=self.batch,
            micro_batch=self.rows,
            context=self.context,
            attend=self.attend,
            schedule=self.schedule,
            save_every=self.save_every,
            validate_every=self.validate_every or -(-self.steps // LOOKS),
        )
        return Loop(
            course=course,
            engine=engine,
            order=Order(self.mixture, corpora, self.context, self.batch, self.seed),
            held_out=held_out_windows(corpora, self.context, self.token_budget),
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

    def _facts(self, loop: Loop, rows: Sequence[dict[str, Any]], export: Export) -> dict[str, Any]:
        step_tokens = self.batch * self.context
        pace = round(len(rows) * step_tokens / sum(step_tokens / row["tokens_per_second"] for row in rows), 1)
        return {
            "steps": self.steps,
            "tokens": self.steps * step_tokens,
            "loss": {"first": rows[0]["loss"], "last": rows[-1]["loss"]},
            "tokens_per_second": pace,
            "mfu": mfu(pace, loop.flops_per_token, loop.peak, self.workers),
            "peak": {"flops": loop.peak.flops, "source": loop.peak.source},
            "parameters": sum(tensor.numel() for tensor in export.tensors.values()),
            "workers": self.workers,
            "flops_per_token": loop.flops_per_token,
        }

    def _write_model(self, unit: Unit, export: Export, corpora: Sequence[TokenShards], facts: Facts) -> None:
        """Weights, tokenizer and card, as one folder that transformers opens."""
        origins = [Origin(address=corpus.address, sources=corpus.facts["sources"]) for corpus in corpora]
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            folder = Path(local)
            write_model(folder, export, corpora[0].end_of_text)
            shutil.copytree(unit.open(self.mixture[0].tokens.tokenizer).path, folder, dirs_exist_ok=True)
            (folder / "README.md").write_text(model_card(self, origins, facts))
            unit.write_folder(MODEL, folder)


@contextmanager
def _repeatable(engine: Engine) -> Iterator[None]:
    """Refuse operations that may differ from run to run, where that costs nothing: on the CPU."""
    import torch

    memory: Any = torch.utils.deterministic
    before, filled = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    if engine.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled
