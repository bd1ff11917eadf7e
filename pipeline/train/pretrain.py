"""Pretraining: a mixture of token shards and an architecture in, a model that transformers opens out."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from pipeline.batches.mixture import Weighted, check_made_alike, check_mixture
from pipeline.batches.order import Order
from pipeline.batches.phases import Phase, Stage, check_phases, members_of
from pipeline.errors import RequestError
from pipeline.models.base import Architecture, Export
from pipeline.models.export import write_model
from pipeline.objectives.base import Attend, Objective, Questions
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.next_token import NextToken
from pipeline.objectives.special_tokens import add_special_tokens
from pipeline.tokens.shards import TokenShards
from pipeline.tokens.tokenizer import TOKENIZER, TokenizerFiles
from pipeline.train.attempts import Attempts
from pipeline.train.branch import check_branch, check_kept, shared_steps
from pipeline.train.card import Origin, model_card
from pipeline.train.checkpoint import METRICS, MODEL, Checkpoint, Checkpoints, Earlier
from pipeline.train.compiled import check_compiler, compile_layers
from pipeline.train.economy import Economy
from pipeline.train.engine import Engine, Engines, Update
from pipeline.train.ledger import CHAIN, Ledger
from pipeline.train.loop import Course, Loop, mfu
from pipeline.train.peak import peak
from pipeline.train.plain import PlainEngines
from pipeline.train.prices import Prices
from pipeline.train.recompute import recompute_layers
from pipeline.train.saves import Saves
from pipeline.train.schedule import Schedule
from pipeline.train.shares import check_least, rows_at_once, sizes_of
from pipeline.train.slices import check_slices
from pipeline.train.stepwise import json_lines
from pipeline.train.validation import LOOKS, held_out_windows
from pipeline.train.watch import PASSED, Watch, Watcher, passed_over
from pipeline.train.z_loss import Besides, weigh_logits
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import execution, later
from pipeline.workflow.reach import code_digest, code_of
from pipeline.workflow.step import Context, Facts, Member, Reference, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Pretrain(Step[Checkpoint]):
    """Train a model from random weights on `token_budget` tokens, in steps of `batch` windows of `context` tokens.

    Killed and started again, it goes on from its newest whole checkpoint, and ends in the same weights, bit for bit, where
    workers, engine and micro-batch are the same. A run with phases to come goes on from a checkpoint of the run without them, too,
    as long as that one's steps were before they begin: up to there it is the same run. So does one with a trunk, from the trunk's
    checkpoints, up to where its own rate begins to fall; and one that passes over wrong steps, from a run that stopped at the first.

    Facts: `steps`, `tokens`, `loss` {"first", "last"}, `tokens_per_second` (over all steps), `mfu`, `peak` (of one worker's
    device: operations a second, where the figure is from, and its name), `parameters`, `workers`, `flops_per_token`,
    `batches` {"steps", "chain"} (which data was seen, in which order; see `pipeline/batches/chain.py`), `economy` (what it cost; see
    `economy.py`), and where batches were passed over (see `watch.py`) `passed_over`, their numbers from 0.
    """

    artifact: ClassVar[type[Artifact]] = Checkpoint
    mixture: tuple[Weighted, ...]
    model: Architecture
    objective: Objective = later(NextToken())
    """What the model learns to predict."""
    context: int
    """Tokens in a window: the model's greatest context."""
    batch: int
    """Windows in a step, over all workers."""
    token_budget: int
    """Greatest number of tokens to train on, repeats counted."""
    schedule: Schedule = field(default_factory=Schedule)
    peak_at_width: int | None = later(None)
    """The width (`dim`) of the model that schedule.peak was found for: one of another width has the peak times that width over its own."""
    update: Update = field(default_factory=Update)
    attend: Attend = "document"
    """Whether attention stays inside a document or sees all of a window."""
    seed: int = 0
    """Of the first weights and of the order of the data."""
    then: tuple[Phase, ...] = later(())
    """What takes the place of `mixture` from later steps on."""
    trunk: int | None = later(None)
    """The token budget of a longer run of the same recipe, with a schedule of wsd, whose warm-up and level part are this one's too."""
    watch: Watch = later(Watch())
    """What is done where a step goes wrong."""
    engines: Engines = execution(PlainEngines())
    workers: int = execution(1)
    """Processes of the gang."""
    least_workers: int | None = execution(None)
    """Processes that it goes on with, where there is no room for more; None: it waits for all of them."""
    micro_batch: int = execution(8)
    """Greatest number of windows that a worker takes at once."""
    save_every: int = execution(500)
    """Steps between checkpoints to resume from."""
    keep_at: tuple[int, ...] = execution(())
    """Steps, counted from 1, whose checkpoints are kept when the run is done, for others to branch off."""
    validate_every: int | None = execution(None)
    """Steps between looks at the held-out loss; None for ten in a run."""
    recompute: bool = execution(False)
    """Whether the layers' activations are computed once more in the backward pass instead of kept: less memory, about a third more time."""
    compile: bool = execution(False)
    """Whether torch.compile makes programs of the layers, with the compiler of the machine that trains."""
    prices: Prices | None = execution(None)
    """What the run's devices cost, as far as anybody told."""

    def __post_init__(self) -> None:
        check_mixture(self.mixture)
        for name in ("context", "batch", "workers", "micro_batch", "save_every"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}: use at least 1")
        check_slices(self.model, self.context, self.slices, self.workers)
        if self.batch % (readers := self.workers // self.slices):
            raise RequestError(
                f"batch is {self.batch} windows, which {readers} {'workers' if self.slices == 1 else f'groups of {self.slices} workers'}"
                f" cannot share evenly: use a multiple of {readers}"
            )
        check_least(self.least_workers, self.workers)
        if self.peak_at_width is not None and self.peak_at_width < 1:
            raise RequestError(f"peak_at_width is {self.peak_at_width}: use the dim of the model that schedule.peak was found for")
        if self.validate_every is not None and self.validate_every < 1:
            raise RequestError(f"validate_every is {self.validate_every}: use at least 1, or None")
        if self.steps < 1:
            raise RequestError(
                f"token_budget is {self.token_budget}, less than one step of {self.batch} × {self.context} tokens:"
                f" use at least {self.batch * self.context}"
            )
        if self.recompute and not self.model.layered:
            raise RequestError(
                f"recompute is true, and a {type(self.model).__name__} has no layers to compute once more one by one: leave it out"
            )
        if self.compile and self.model.uncompiled is not None:
            raise RequestError(f"compile is true, and a {type(self.model).__name__} cannot be: {self.model.uncompiled}. Leave it out")
        if self.attend not in ("document", "window"):
            raise RequestError(f"attend is {self.attend!r}: use document or window")
        if not isinstance(self.objective, self.model.learns):
            raise RequestError(
                f"objective is {type(self.objective).__name__}, and a {type(self.model).__name__} cannot learn by that:"
                f" use {self.model.learns.__name__}"
            )
        self.objective.check(self.attend, self.context)
        self.engines.check(self.update)
        check_phases(self.mixture, self.then, self.steps)
        check_kept(self.keep_at, self.steps)
        if self.trunk is not None:
            check_branch(self.schedule, self.steps, self.trunk, self._longest // (self.batch * self.context))

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self.token_budget // (self.batch * self.context)

    @property
    def _longest(self) -> int:
        """The token budget of the run that says when to warm up and what to look at."""
        return self.token_budget if self.trunk is None else self.trunk

    @property
    def _rates(self) -> Schedule:
        """The schedule, with the peak for a model of this width.

        Matrices with more inputs need smaller steps for the same change of their outputs, for Adam in proportion to the width (Yang and
        others, 2022, arXiv:2203.03466). Measured with Llama on prose: best peaks of 0.008, 0.004 and 0.002 at widths 64, 128 and 256.
        """
        if self.peak_at_width is None:
            return self.schedule
        return replace(self.schedule, peak=self.schedule.peak * self.peak_at_width / self.model.dim)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of workers that may share the batch, the wanted one first."""
        return sizes_of(self.batch, self.workers, self.least_workers, self.slices)

    @property
    def slices(self) -> int:
        """Neighbouring workers that share each window."""
        return self.engines.sequence_parallel

    def rows(self, size: int) -> int:
        """Windows that one of `size` workers takes at once, at most `micro_batch`."""
        return rows_at_once(self.batch * self.slices // size, self.micro_batch)

    def run(self, context: Context) -> Facts:
        check_made_alike({name: context.open(part.tokens) for name, part in members_of(self.mixture, self.then).items()})
        order = self._order(context.open)  # raises what is wrong with the corpora before a gang is started
        self._questions(self._lexicon(order, context.open))  # and this, with their tokenizer
        return context.gang(self.train, *self.sizes).facts

    def train(self, unit: Unit, member: Member) -> Facts:
        """One member's work; the first one writes the model and the metrics, and its facts count."""
        order = self._order(unit.open)
        lexicon = self._lexicon(order, unit.open)
        engine, besides = self._engine(lexicon.size, member)
        loop = self._loop(unit, member, engine, besides, order, lexicon)
        with repeatable(engine):
            rows = loop.run()
        weights = engine.weights()
        if member.rank > 0:
            return {}
        export = self.model.export(weights, lexicon.size, self.context)
        facts = self._facts(loop, rows, export)
        self._write_model(unit, export, order, lexicon, facts)
        unit.write(METRICS, json_lines(rows).encode(), ".jsonl", len(rows))
        return facts

    def tried(self, unit: Unit, member: Member, steps: int) -> Facts:
        """Do some steps and keep nothing of them: `paces` (tokens a second, of each), `peak_bytes` of this member or None."""
        order = self._order(unit.open)
        lexicon = self._lexicon(order, unit.open)
        engine, besides = self._engine(lexicon.size, member)
        loop = self._loop(unit, member, engine, besides, order, lexicon)
        with repeatable(engine):
            return {"paces": loop.paces(steps), "peak_bytes": loop.economy.peak_bytes()}

    def _order(self, opened: Callable[[Step[TokenShards]], TokenShards]) -> Order:
        first, *then = (
            Stage(phase.at, phase.mixture, [opened(part.tokens) for part in phase.mixture])
            for phase in (Phase(at=0, mixture=self.mixture), *self.then)
        )
        return Order(first.mixture, first.shards, self.context, self.batch, self.seed, then)

    def _lexicon(self, order: Order, opened: Callable[[Step[TokenizerFiles]], TokenizerFiles]) -> Lexicon:
        """The tokenizer of the corpora, with what the objective adds to it."""
        first = order.shards[0]
        files = opened(Reference(of=first.manifest.recipe["tokenizer"]["step"], opens=TokenizerFiles))
        return Lexicon(files.path / TOKENIZER, first.vocab_size, first.end_of_text, self.objective.added(self.context))

    def _questions(self, lexicon: Lexicon) -> Questions:
        return self.objective.questions(lexicon, self.attend, self.seed)

    def _engine(self, vocab_size: int, member: Member) -> tuple[Engine, Besides]:
        """The engine, around a model with the same weights in every member, and what that tells beside the loss."""
        import torch

        torch.manual_seed(self.seed)
        model = self.model.build(vocab_size, self.context)
        if self.compile:
            check_compiler("cuda" if torch.cuda.is_available() else "cpu")
            compile_layers(model)
        if self.recompute:
            recompute_layers(model)
        weighed = isinstance(self.objective, NextToken) and self.objective.z_weight
        besides: Besides = weigh_logits(model, weighed) if weighed else dict
        accumulation = self.batch * self.slices // member.size // self.rows(member.size)
        return self.engines.start(model, self.update, accumulation, member), besides

    def _loop(self, unit: Unit, member: Member, engine: Engine, besides: Besides, order: Order, lexicon: Lexicon) -> Loop:
        course = Course(
            steps=self.steps,
            batch=self.batch,
            micro_batch=self.rows(member.size),
            context=self.context,
            schedule=self._rates,
            rising=self.schedule.rising(longest := self._longest // (self.batch * self.context)),
            save_every=self.save_every,
            keep_at=self.keep_at,
            validate_every=self.validate_every or -(-longest // LOOKS),
            slices=self.slices,
        )
        attempts, top = Attempts(store=unit.store, folder=f"{self.address}/work/attempts"), peak(engine.device, self.update.precision)
        return Loop(
            course=course,
            engine=engine,
            order=order,
            economy=Economy.of(self.address, member, engine.device, top.device, attempts, self.prices),
            ledger=Ledger(read=order.batch, batch=self.batch, context=self.context, member=member, slices=self.slices),
            watcher=self._watcher(unit, order, member),
            questions=self._questions(lexicon),
            held_out=held_out_windows(order.shards, self.context, self._longest),  # of the first phase: one curve over all of them
            member=member,
            saves=Saves(self._checkpoints(unit, member)),
            flops_per_token=self.model.flops_for(self.objective, lexicon.size, self.context),
            peak=top,
            besides=besides,
        )

    def _watcher(self, unit: Unit, order: Order, member: Member) -> Watcher:
        folder = f"{self.address}/watch/{self._basis(unit)}"
        remedy = f"lower schedule.peak (now {self._rates.peak}) or lengthen schedule.warmup"
        return Watcher(self.watch, self.steps, order.documents_in, unit.store, folder, member.rank == 0, remedy)

    def _checkpoints(self, unit: Unit, member: Member) -> Checkpoints:
        """Where checkpoints to resume from lie: this run's own, and those of the runs that begin as it does."""
        workers = "1 worker" if member.size == 1 else f"{member.size} workers"
        earlier = tuple(
            Earlier(run._checkpoints_folders(unit), run.address, until, run.watch == self.watch) for run, until in self._alike()
        )
        folder, kept = self._checkpoints_folders(unit)
        return Checkpoints(unit.store, folder, f"{workers} with {self.engines}", member, earlier, kept, self.keep_at)

    def _alike(self) -> Iterator[tuple["Pretrain", int]]:
        """The runs that do the same as this one in their first steps, and in how many: those without its last phases, its trunk, and
        the one that stops at the first wrong step."""
        if self.watch.act != "stop":
            yield replace(self, watch=self.watch.stopping()), self.steps
        for count, phase in reversed(list(enumerate(self.then))):
            yield replace(self, then=self.then[:count]), phase.at
        if self.trunk is not None:
            trunk, shared = replace(self, token_budget=self.trunk, trunk=None), shared_steps(self.schedule, self.steps)
            yield trunk, shared
            yield from ((run, min(until, shared)) for run, until in trunk._alike())

    def _checkpoints_folders(self, unit: Unit) -> tuple[str, str]:
        """Of those that go when the run is done, and of those that stay. Checkpoints of other code or of other input bytes do not count."""
        basis = self._basis(unit)
        return f"{self.address}/work/checkpoints/{basis}", f"{self.address}/kept/{basis}"

    def _basis(self, unit: Unit) -> str:
        """A digest of the code and of the input bytes."""
        return code_digest(code_of(self) | {path: unit.open(step).manifest.content for path, step in self.inputs.items()})

    def _facts(self, loop: Loop, rows: Sequence[dict[str, Any]], export: Export) -> dict[str, Any]:
        step_tokens, passed, trained = self.batch * self.context, passed_over(rows), [row for row in rows if PASSED not in row]
        pace = round(len(rows) * step_tokens / sum(step_tokens / row["tokens_per_second"] for row in rows), 1)
        return {
            "steps": self.steps,
            "tokens": len(trained) * step_tokens,
            "loss": {"first": trained[0]["loss"], "last": trained[-1]["loss"]},
            "tokens_per_second": pace,
            "mfu": mfu(pace, loop.flops_per_token, loop.peak, loop.member.size),
            "peak": asdict(loop.peak),
            "parameters": sum(tensor.numel() for tensor in export.tensors.values()),
            "workers": loop.member.size,
            "flops_per_token": loop.flops_per_token,
            "batches": {"steps": len(rows), "chain": rows[-1][CHAIN]},
            **({PASSED: passed} if passed else {}),
            "economy": loop.economy.facts(rows),
        }

    def _write_model(self, unit: Unit, export: Export, order: Order, lexicon: Lexicon, facts: Facts) -> None:
        """Weights, tokenizer and card, as one folder that transformers opens."""
        origins = [
            Origin(address=corpus.address, sources=corpus.facts["sources"], at=stage.at)
            for stage in order.stages
            for corpus in stage.shards
        ]
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            folder = Path(local)
            write_model(folder, export, lexicon.end_of_text, self.objective.model_ids(lexicon))
            shutil.copytree(lexicon.tokenizer.parent, folder, dirs_exist_ok=True)
            if lexicon.added:
                add_special_tokens(folder, self.objective, lexicon, self.context)
            (folder / "README.md").write_text(model_card(self, self.model.family, self.objective.predicted, origins, facts))
            unit.write_folder(MODEL, folder)


@contextmanager
def repeatable(engine: Engine) -> Iterator[None]:
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
