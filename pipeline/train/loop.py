"""The training loop over the engine protocol: batches in, a row of metrics a step out.

The batch of a step is a function of its number, so the same global batches are trained on by any number of
members and with any micro-batch, and a resumed run goes on as if it had never stopped.

A row of metrics: `step` (updates done: its batch is `order.batch(step - 1)`), `tokens` (trained on so far), `loss` (mean over
the global batch, in nats a predicted token), `learning_rate`, `gradient_norm` (before clipping), `tokens_per_second` (of this step),
`seconds` (in the loop so far, over all resumptions), `chain` (of the batches so far; see `ledger.py`), `validation_loss` where
it was measured, and what the model tells beside the loss, such as `z_loss`.
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
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.engine import Engine
from pipeline.train.gang import mean
from pipeline.train.ledger import Ledger
from pipeline.train.peak import Peak
from pipeline.train.schedule import Schedule
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
    questions: Questions
    held_out: Batch | None
    member: Member
    checkpoints: Checkpoints
    flops_per_token: int
    peak: Peak
    besides: Besides = dict
    """What the model tells of its last pass beside the loss; the rows have it as means over the global batch."""
    reported_at: float = -math.inf
    """When the last report was made, on this member's clock."""
    validated: dict[str, float] = field(default_factory=dict)
    """The last held-out loss, for reports between two looks at it."""

    def run(self) -> list[dict[str, Any]]:
        """Train to the last step; returns a row of metrics for every step since the first."""
        resumed = self.checkpoints.resume(self.engine)
        rows = [json.loads(line) for line in resumed.history.splitlines()]
        self.ledger.check(rows, resumed.place)
        begun = time.perf_counter() - (rows[-1]["seconds"] if rows else 0.0)
        if rows:
            self._report(rows[-1])
        for done in range(resumed.steps + 1, self.course.steps + 1):
            row = self._step(done)
            if self.held_out is not None and (done % self.course.validate_every == 0 or done == self.course.steps):
                row["validation_loss"] = self._validate(self.held_out)
                self.validated = {"validation_loss": row["validation_loss"]}
            row["seconds"] = round(time.perf_counter() - begun, 3)
            rows.append(row)
            self._report(row)
            if (done % self.course.save_every == 0 or done in self.course.keep_at) and done < self.course.steps:
                self.ledger.enter(rows)
                self.checkpoints.save(self.engine, done, json_lines(rows))
                self.member.saved()
        self.ledger.enter(rows)
        return rows

    def _step(self, done: int) -> dict[str, Any]:
        """One update, after which `done` steps are done; its metrics."""
        started = time.perf_counter()
        rate = self.course.schedule.rate(done - 1, self.course.steps, self.course.rising)
        told = {name: mean(self.member, self.engine.device, value) for name, value in self._gradients(done - 1).items()}
        loss = told.pop("loss")
        self._check("loss", loss, done)
        norm = self.engine.step(rate)
        self._check("gradient norm", norm, done)
        tokens = self.course.batch * self.course.context
        return {
            "step": done,
            "tokens": done * tokens,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            **told,
            "tokens_per_second": round(tokens / (time.perf_counter() - started), 1),
        }

    def _gradients(self, step: int) -> dict[str, float]:
        """Add the gradients of this member's rows of the global batch; their mean `loss`, and that of what is told beside it."""
        share = self.course.batch // self.member.size
        first = self.member.rank * share
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

    def _check(self, name: str, value: float, done: int) -> None:
        if not math.isfinite(value):
            raise RunError(
                f"the {name} is {value} in step {done}: lower schedule.peak (now {self.course.schedule.peak}) or lengthen schedule.warmup"
            )

    def _report(self, row: Mapping[str, Any]) -> None:
        """Tell of the first step, the last, and now and then of one between."""
        now = time.perf_counter()
        if now - self.reported_at >= REPORT_SECONDS or row["step"] == self.course.steps:
            self.reported_at = now
            used = mfu(row["tokens_per_second"], self.flops_per_token, self.peak, self.member.size)
            self.member.report({**self.validated, **row, "steps": self.course.steps, "mfu": used})


def mfu(tokens_per_second: float, flops_per_token: int, peak: Peak, size: int) -> float:
    """Model FLOPs utilisation: the part of what the gang's devices could do that went into the model's matrix products."""
    return round(tokens_per_second * flops_per_token / (peak.flops * size), 4)


def json_lines(rows: list[dict[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)
