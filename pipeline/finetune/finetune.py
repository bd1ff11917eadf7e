"""Fine-tuning: a checkpoint and labelled examples in, a model for a task out, with what it scores on examples that it never saw."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.errors import RequestError, RunError
from pipeline.finetune.base import Answered, FinetuneTask, Row
from pipeline.finetune.card import card
from pipeline.finetune.examples import Example, Examples, as_json, parquet
from pipeline.finetune.lora import Lora
from pipeline.finetune.reader import Reader, labels_for
from pipeline.finetune.saving import save_model
from pipeline.finetune.windows import EncodeExamples, Windows, is_held_out, origins_of, windows_of
from pipeline.metrics.totals import summed, with_intervals
from pipeline.train.attempts import Attempts
from pipeline.train.checkpoint import METRICS, MODEL, Checkpoint, Checkpoints, Earlier
from pipeline.train.economy import Economy
from pipeline.train.engine import Engines, Update
from pipeline.train.peak import name_of
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import repeatable
from pipeline.train.prices import Prices
from pipeline.train.saves import Saves
from pipeline.train.schedule import Schedule
from pipeline.train.shares import check_least, rows_at_once, sizes_of
from pipeline.train.stepwise import json_lines
from pipeline.train.watch import PASSED, Watch, Watcher, passed_over
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import Json, execution, later
from pipeline.workflow.reach import code_digest, code_of
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor

    from pipeline.finetune.learner import Learner
    from pipeline.finetune.loop import FinetuneLoop, Look

ANSWERS = "answers"
Asking = Callable[[Any, Sequence[Row], Reader], Iterator[Json]]
USUAL = Schedule(peak=1e-4, warmup=0.1, floor=0.0, decay="linear")


@dataclass(frozen=True, kw_only=True)
class Finetune(Step[Checkpoint]):
    """Train a checkpoint on a task, in steps of `batch` windows, and keep the weights that score best on validation examples.

    Killed and started again, it goes on from its newest whole checkpoint, and ends in the same weights, bit for bit.

    Facts: `steps` (done), `best_step`, `loss` {"first", "last"}, `tokens_per_second`, `parameters`, `trained_parameters`, `workers`,
    `labels`, `validation` and `test`: {metric: value, metric_low, metric_high (95 % by bootstrap), "n": rows}, and of tasks that have
    them, `signatures` {metric: how it was measured}; and `economy` (what it cost, with the checkpoint's own; see
    `pipeline/train/economy.py`).
    """

    artifact: ClassVar[type[Artifact]] = Checkpoint
    checkpoint: Step[Checkpoint]
    task: FinetuneTask
    train: Step[Examples]
    windows: Step[Windows]
    """The examples of `train` as the checkpoint is shown them, without those that are held out."""
    validation: Step[Examples] | None = None
    """None: a share of `train` is held out."""
    test: Step[Examples] | None = None
    """Scored once, at the end."""
    held_out: float = 0.1
    """Share of `train` that is held out, by a hash of where an example stands, where there is no validation set."""
    epochs: float = 3.0
    """Times that every window is trained on."""
    batch: int = 32
    """Windows in a step, over all workers."""
    schedule: Schedule = USUAL
    update: Update = Update()
    lora: Lora | None = None
    """None: every weight is trained."""
    dropout: float = 0.0
    look_every: int | None = None
    """Steps between looks at the validation examples; None: one look an epoch, but at least ten in all."""
    look_rows: int = 512
    """Greatest number of validation examples in a look; the end looks at all."""
    patience: int | None = None
    """Looks without a better score after which training stops; None: never."""
    seed: int = 0
    context: int | None = None
    watch: Watch = later(Watch())
    """What is done where a step goes wrong."""
    engines: Engines = execution(PlainEngines())
    workers: int = execution(1)
    least_workers: int | None = execution(None)
    """Processes that it goes on with, where there is no room for more; None: it waits for all of them."""
    micro_batch: int = execution(32)
    """Greatest number of windows that a worker takes at once."""
    save_every: int = execution(200)
    """Steps between checkpoints to resume from."""
    recompute: bool = execution(False)
    """Whether the layers' activations are computed once more in the backward pass instead of kept: less memory, about a third more time."""
    prices: Prices | None = execution(None)
    """What the run's devices cost, as far as anybody told."""

    def __post_init__(self) -> None:
        for name in ("batch", "workers", "micro_batch", "save_every", "look_rows"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}: use at least 1")
        for name in ("look_every", "patience"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}: use at least 1, or None")
        if self.batch % self.workers:
            raise RequestError(f"batch is {self.batch} windows, which {self.workers} workers cannot share evenly: use a multiple")
        check_least(self.least_workers, self.workers)
        if not self.epochs > 0:
            raise RequestError(f"epochs is {self.epochs}: use more than 0")
        if not 0 <= self.dropout < 1:
            raise RequestError(f"dropout is {self.dropout}: use a share from 0, and below 1")
        if self.validation is None and not 0 < self.held_out < 1:
            raise RequestError(f"held_out is {self.held_out}: use a share between 0 and 1, or give a validation set")
        if self.update.optimizer.by_matrix:
            raise RequestError(f"update.optimizer is {type(self.update.optimizer).__name__}, which is for pretraining: use adamw")
        if self.engines.sequence_parallel > 1:
            raise RequestError(f"sequence_parallel is {self.engines.sequence_parallel}, which is for pretraining: use 1")
        if self.update.precision == "fp8":
            raise RequestError("update.precision is fp8, which is for pretraining: use bf16")

    def check_input(self, needed: Step[Any], facts: Facts) -> None:
        if self.validation is None and needed.address == self.windows.address and not facts["dropped"].get("held-out"):
            raise RequestError(
                f"held_out is {self.held_out}, and of {facts['read']} examples none is held out: hold out a larger share, or give a"
                " validation set"
            )

    def steps(self, windows: int) -> int:
        """Updates of the weights."""
        return int(self.epochs * windows) // self.batch

    def run(self, context: Context) -> Facts:
        windows = context.open(self.windows).facts["windows"]
        if self.steps(windows) < 1:
            raise RunError(
                f"{self.epochs:g} epochs of {windows} windows are less than one step of {self.batch}: lower batch, or raise epochs"
            )
        return context.gang(self.learn, *sizes_of(self.batch, self.workers, self.least_workers)).facts

    def learn(self, unit: Unit, member: Member) -> Facts:
        """One member's work; the first one writes the model, and its facts count."""
        examples = unit.open(self.train)
        folder = unit.open(self.checkpoint).model
        reader = Reader(folder, labels_for(folder, examples.labels), self.context)
        learner = self._learner(reader)
        if self.recompute:
            learner.recompute()
        share = self.batch // member.size
        engine = self.engines.start(learner, self.update, share // rows_at_once(share, self.micro_batch), member)
        loop = self._loop(unit, member, engine, reader)
        with repeatable(engine):
            rows = loop.run()
        if member.rank > 0:
            return {}
        best = self._learner(reader).to(engine.device)
        best.take(loop.best.weights)
        model = best.merged().eval()
        scores = self._final_scores(unit, model, reader)
        cost = loop.economy.facts(rows, unit.open(self.checkpoint).manifest)
        facts = {**self._facts(rows, loop, learner), "labels": list(reader.labels), **scores, "economy": cost}
        if self.task.signatures:
            facts["signatures"] = dict(self.task.signatures)
        self._write(unit, model, reader, facts)
        unit.write(METRICS, json_lines(rows).encode(), ".jsonl", len(rows))
        return facts

    def _learner(self, reader: Reader) -> "Learner":
        from pipeline.finetune.learner import open_learner

        return open_learner(reader, self.task, self.lora, self.dropout, self.seed)

    def _loop(self, unit: Unit, member: Member, engine: Any, reader: Reader) -> "FinetuneLoop":
        from pipeline.finetune.loop import FinetuneLoop, Plan

        windows = unit.open(self.windows)
        steps = self.steps(len(windows))
        plan = Plan(
            steps=steps,
            batch=self.batch,
            micro_batch=rows_at_once(self.batch // member.size, self.micro_batch),
            schedule=self.schedule,
            save_every=self.save_every,
            look_every=self.look_every or max(1, min(len(windows) // self.batch, steps // 10)),
            patience=self.patience,
            watched=self.task.watched,
            padding=reader.padding,
            seed=self.seed,
        )
        look = self._look(unit, reader, engine.device) if member.rank == 0 else None
        attempts = Attempts(store=unit.store, folder=f"{self.address}/work/attempts")
        return FinetuneLoop(
            plan=plan,
            engine=engine,
            task=self.task,
            windows=windows,
            member=member,
            saves=Saves(self._checkpoints(unit, member, steps)),
            watcher=self._watcher(unit, member, steps),
            look=look,
            economy=Economy.of(self.address, member, engine.device, name_of(engine.device), attempts, self.prices),
        )

    def _checkpoints(self, unit: Unit, member: Member, steps: int) -> Checkpoints:
        """Also those of the run that stops at the first wrong step: up to there it is the same."""
        workers = "1 worker" if member.size == 1 else f"{member.size} workers"
        earlier: tuple[Earlier, ...] = ()
        if self.watch.act != "stop":
            stopped = replace(self, watch=self.watch.stopping())
            earlier = (Earlier((stopped._checkpoints_folder(unit),), stopped.address, steps, sought=False),)
        return Checkpoints(unit.store, self._checkpoints_folder(unit), f"{workers} with {self.engines}", member, earlier)

    def _checkpoints_folder(self, unit: Unit) -> str:
        return f"{self.address}/work/checkpoints/{self._basis(unit)}"

    def _basis(self, unit: Unit) -> str:
        """A digest of the code and of the input bytes: checkpoints of other ones do not count."""
        return code_digest(code_of(self) | {path: unit.open(step).manifest.content for path, step in self.inputs.items()})

    def _watcher(self, unit: Unit, member: Member, steps: int) -> Watcher:
        folder = f"{self.address}/watch/{self._basis(unit)}"
        remedy = f"lower schedule.peak (now {self.schedule.peak}) or lengthen schedule.warmup"
        return Watcher(self.watch, steps, partial(self._examples_in, unit), unit.store, folder, member.rank == 0, remedy, "examples")

    def _examples_in(self, unit: Unit, step: int) -> list[str]:
        """Where the examples in the windows of a step, counted from 0, were read."""
        numbers = windows_of(step, len(unit.open(self.windows)), self.batch, self.seed)
        held_out = self.held_out if self.validation is None else 0.0
        shown = EncodeExamples(examples=self.train, checkpoint=self.checkpoint, task=self.task, context=self.context, held_out=held_out)
        return origins_of(shown, unit, unit.open(self.windows), numbers)

    def _validation(self, unit: Unit) -> list[Example]:
        if self.validation is not None:
            return list(unit.open(self.validation).rows())
        return [example for example in unit.open(self.train).rows() if is_held_out(example.origin, self.held_out)]

    def _look(self, unit: Unit, reader: Reader, device: Any) -> "Look":
        """What weights score on some validation examples, in a model of its own: an engine may hold its weights in parts."""
        rows, shadow = spread(self._validation(unit), self.look_rows), self._learner(reader).eval().to(device)

        def look(weights: "Mapping[str, Tensor]") -> Mapping[str, float]:
            answered = self._answered(self.task.glances, shadow.take(weights), rows, reader)
            return self.task.metrics(summed([self.task.score(each) for each in answered]))

        return look

    def _answered(self, ask: Asking, model: Any, examples: Sequence[Example], reader: Reader) -> list[Answered]:
        import torch

        rows = [example.row for example in examples]
        with torch.no_grad():
            return [Answered(row, said) for row, said in zip(rows, ask(model, rows, reader), strict=True)]

    def _final_scores(self, unit: Unit, model: Any, reader: Reader) -> dict[str, Any]:
        """The scores of the best weights, and every answer in a file to be looked at."""
        sets = {"validation": self._validation(unit)}
        if self.test is not None:
            sets["test"] = list(unit.open(self.test).rows())
        scores, columns = dict[str, Any](), {name: list[str]() for name in ("set", "origin", "row", "answer", "score")}
        for name, examples in sets.items():
            answered = self._answered(self.task.answers, model, examples, reader)
            worth = [self.task.score(each) for each in answered]
            scores[name] = with_intervals(worth, self.task.metrics)
            for example, each, value in zip(examples, answered, worth, strict=True):
                cells = (name, example.origin, as_json(example.row), as_json(each.prediction), as_json(dict(value)))
                for column, cell in zip(columns.values(), cells, strict=True):
                    column.append(cell)
        unit.write(ANSWERS, parquet(columns), ".parquet", len(columns["set"]))
        return scores

    def _facts(self, rows: Sequence[dict[str, Any]], loop: "FinetuneLoop", learner: "Learner") -> dict[str, Any]:
        parameters, passed, trained = list(learner.parameters()), passed_over(rows), [row for row in rows if PASSED not in row]
        return {
            "steps": len(rows),
            "best_step": loop.best.step,
            "loss": {"first": trained[0]["loss"], "last": trained[-1]["loss"]},
            "tokens_per_second": round(len(rows) / sum(1 / row["tokens_per_second"] for row in rows), 1),
            "parameters": sum(parameter.numel() for parameter in parameters),
            "trained_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            "workers": loop.member.size,
            **({PASSED: passed} if passed else {}),
        }

    def _write(self, unit: Unit, model: Any, reader: Reader, facts: Facts) -> None:
        """Weights, tokenizer and card, as one folder that transformers opens."""
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            save_model(Path(local), model)
            reader.tokenizer.save_pretrained(local)
            Path(local, "README.md").write_text(card(self, facts, reader.kind), encoding="utf-8")
            unit.write_folder(MODEL, Path(local))


def spread(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many examples, evenly spread."""
    count = min(len(examples), most)
    return [examples[number * len(examples) // count] for number in range(count)]
