"""The training loop over the engine protocol: batches in, a row of metrics a step out.

The batch of a step is a function of its number, so the same global batches are trained on by any number of
members and with any micro-batch, and a resumed run goes on as if it had never stopped.

A row of metrics: `step` (updates done: its batch is `order.batch(step - 1)`), `tokens` (trained on so far), `loss` (mean over
the global batch, in nats a predicted token), `learning_rate`, `gradient_norm` (before clipping), `tokens_per_second` (of this step),
`mfu`, `seconds` (in the loop so far, over all resumptions), `chain` (of the batches so far; see `ledger.py`), `economy` (what the
step cost; see `economy.py`), `validation_loss` where it was measured, what the model tells beside the loss, such as `z_loss`, and
`save_failed` where a save was found to have failed (see `saves.py`). A step that was passed over (see `watch.py`) made no update: it
has `passed_over`, and None for what is no number.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.batches.packing import Batch
from pipeline.errors import RunError
from pipeline.objectives.base import Place, Questions
from pipeline.train.economy import Economy
from pipeline.train.engine import Engine
from pipeline.train.gang import mean
from pipeline.train.ledger import Ledger
from pipeline.train.peak import Peak
from pipeline.train.saves import Saves
from pipeline.train.schedule import Schedule
from pipeline.train.watch import PASSED, Watcher
from pipeline.train.z_loss import Besides
from pipeline.workflow.step import Member

if TYPE_CHECKING:
    from torch import Tensor

REPORT_SECONDS = 2.0
"""Between two reports: one may cost more than a short step."""


class BatchOrder(Protocol):
    """The order of the training data."""

    def batch(self, step: int, rows: slice) -> Batch:
        """Some rows of a step's global batch."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is to be done, step by step."""

    steps: int
    batch: int
    """Windows in a step, over all members."""
    micro_batch: int
    """Windows that a member takes at once."""
    context: int
    schedule: Schedule
    rising: int
    """Steps of the warm-up."""
    save_every: int
    keep_at: tuple[int, ...]
    """Steps after which a checkpoint is kept for good."""
    validate_every: int


@dataclass(kw_only=True)
class Loop:
    """One member's part of a training run."""

    course: Course
    engine: Engine
    order: BatchOrder
    ledger: Ledger
    economy: Economy
    watcher: Watcher
    questions: Questions
    held_out: Batch | None
    member: Member
    saves: Saves
    flops_per_token: int
    peak: Peak
    besides: Besides = dict
    """What the model tells of its last pass beside the loss; the rows have it as means over the global batch."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The metrics of the steps that are done."""
    settled: list[str] = field(default_factory=list)
    """The first of them as lines of JSON: those that nothing is added to any more."""
    reported_at: float = -math.inf
    """When the last report was made, on this member's clock."""
    validated: dict[str, float] = field(default_factory=dict)
    """The last held-out loss, for reports between two looks at it."""
    warned: bool = False
    """Whether a member's machine will be taken away soon."""

    def run(self) -> list[dict[str, Any]]:
        """Train to the last step; returns a row of metrics for every step since the first."""
        place = self._resume()
        self.ledger.check(self.rows, place)
        self.economy.begin(self.rows, place)
        begun = time.perf_counter() - (self.rows[-1]["seconds"] if self.rows else 0.0)
        if self.rows:
            self._report(self.rows[-1])
        elif self.watcher.watch.act == "rewind":
            self._save(0)
        with self.saves:
            while (done := len(self.rows) + 1) <= self.course.steps:
                row = self._step(done)
                if self.watcher.goes_back(row):
                    self._go_back()
                else:
                    self._enter(row, begun)
        self._put_together()
        return self.rows

    def paces(self, steps: int) -> list[float]:
        """Tokens a second in each of the first steps, none of which is put on record."""
        return [self._step(done)["tokens_per_second"] for done in range(1, steps + 1)]

    def _resume(self) -> str:
        """Go on from the newest checkpoint; returns its place."""
        resumed = self.saves.checkpoints.resume(self.engine)
        self.rows, self.settled = [json.loads(line) for line in resumed.history.splitlines()], []
        return resumed.place

    def _go_back(self) -> None:
        """Go on from the newest checkpoint once more. Raises RunError where there is none."""
        self.saves.finish()
        if not self._resume():
            raise RunError("there is no checkpoint to go back to: see why none could be saved, or use skip as watch.act")
        self.economy.go_back(self.rows)

    def _enter(self, row: dict[str, Any], begun: float) -> None:
        """Put a step's metrics on record, and what is to be done after it: look at the held-out loss, save, and report."""
        done = row["step"]
        if self.held_out is not None and (done % self.course.validate_every == 0 or done == self.course.steps):
            row["validation_loss"] = self._validate(self.held_out)
            self.validated = {"validation_loss": row["validation_loss"]}
        row["seconds"] = round(time.perf_counter() - begun, 3)
        self.economy.note(row)
        row |= self.saves.look()
        self.rows.append(row)
        due = done % self.course.save_every == 0 or done in self.course.keep_at or self._is_warned()
        if due and done < self.course.steps:
            row |= self._save(done)
        self._report(row)

    def _is_warned(self) -> bool:
        """Whether a member has been told since the last step that its machine will be taken away: then what was done since is saved."""
        before, self.warned = self.warned, mean(self.member, self.engine.device, float(self.member.leaving)) > 0
        return self.warned and not before

    def _save(self, done: int) -> Mapping[str, Any]:
        """Begin to save; returns what the metrics say of the save before, but those that are saved do not."""
        self._put_together()
        with self.economy.waiting("save"):
            self.settled += map(json_line, self.rows[len(self.settled) : -1])
            return self.saves.begin(self.engine, done, "".join([*self.settled, *map(json_line, self.rows[-1:])]))

    def _put_together(self) -> None:
        """Put what all members know of the steps so far into their rows."""
        self.ledger.enter(self.rows)
        self.economy.enter(self.rows)

    def _step(self, done: int) -> dict[str, Any]:
        """One update, after which `done` steps are done; its metrics."""
        if done in self.watcher.passed:
            return dict(self.watcher.passed[done])
        started = time.perf_counter()
        rate = self.course.schedule.rate(done - 1, self.course.steps, self.course.rising)
        told = {name: mean(self.member, self.engine.device, value) for name, value in self._gradients(done - 1).items()}
        loss = told.pop("loss")
        norm, wrong = math.nan, self.watcher.watch.of_loss(loss, self.rows)
        if wrong is None:
            norm = self.engine.step(rate)
            wrong = self.watcher.watch.of_norm(norm)
        else:
            self.engine.drop()
        passed = {} if wrong is None else self._note(done, wrong)
        tokens, before = self.course.batch * self.course.context, self.rows[-1]["tokens"] if self.rows else 0
        pace = round(tokens / (time.perf_counter() - started), 1)
        return {
            "step": done,
            "tokens": before if passed else before + tokens,
            "loss": loss if math.isfinite(loss) else None,
            "learning_rate": rate,
            "gradient_norm": norm if math.isfinite(norm) else None,
            **{name: value if math.isfinite(value) else None for name, value in told.items()},
            "tokens_per_second": pace,
            "mfu": mfu(pace, self.flops_per_token, self.peak, self.member.size),
            **passed,
        }

    def _note(self, done: int, wrong: str) -> Mapping[str, Any]:
        """Write down what is wrong with a step. Where the run ends by it, every member is here: what was to be saved is saved first."""
        told = self.saves.finish()
        return {**told, PASSED: self.watcher.note(done, wrong, self.rows)}

    def _gradients(self, step: int) -> dict[str, float]:
        """Add the gradients of this member's rows of the global batch; their mean `loss`, and that of what is told beside it."""
        share = self.course.batch // self.member.size
        first = self.member.rank * share
        with self.economy.waiting("data"):
            batch, place = self.order.batch(step, slice(first, first + share)), Place(step, first)
        self.ledger.note(step, batch)
        seen: dict[str, list[Tensor]] = defaultdict(list)
        for start in range(0, share, self.course.micro_batch):
            loss = self.engine.loss(*self._inputs(batch, slice(start, start + self.course.micro_batch), place))
            self.engine.backward(loss)
            for name, value in {"loss": loss, **self.besides()}.items():
                seen[name].append(value.detach().double())
        return {name: (sum(values[1:], values[0]) / len(values)).item() for name, values in seen.items()}

    def _inputs(self, batch: Batch, rows: slice, place: Place | None) -> "list[Tensor]":
        """What the model is called with for some rows, on the engine's device."""
        import torch

        with self.economy.waiting("data"):
            return [torch.from_numpy(array).to(self.engine.device) for array in self.questions.inputs(batch, rows, place)]

    def _validate(self, batch: Batch) -> float:
        """The mean loss on the held-out windows. Every member takes all of them, so that it is the same for any gang."""
        import torch

        count, summed = len(batch.tokens), 0.0
        with torch.no_grad():
            for start in range(0, count, self.course.micro_batch):
                rows = slice(start, min(start + self.course.micro_batch, count))
                summed += self.engine.loss(*self._inputs(batch, rows, None)).item() * (rows.stop - rows.start)
        return summed / count

    def _report(self, row: Mapping[str, Any]) -> None:
        """Tell of the first step, the last, and now and then of one between."""
        now = time.perf_counter()
        if now - self.reported_at >= REPORT_SECONDS or row["step"] == self.course.steps:
            self.reported_at = now
            self.member.report({**self.validated, **row, "steps": self.course.steps})


def mfu(tokens_per_second: float, flops_per_token: int, peak: Peak, size: int) -> float:
    """Model FLOPs utilisation: the part of what the gang's devices could do that went into the model's matrix products."""
    return round(tokens_per_second * flops_per_token / (peak.flops * size), 4)


def json_lines(rows: list[dict[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(map(json_line, rows))


def json_line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
