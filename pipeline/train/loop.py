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

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.batches.packing import Batch
from pipeline.objectives.base import Place, Questions
from pipeline.train.gang import mean, rows_of
from pipeline.train.ledger import Ledger
from pipeline.train.peak import Peak
from pipeline.train.schedule import Schedule
from pipeline.train.stepwise import Span, Stepwise, finite
from pipeline.train.z_loss import Besides

if TYPE_CHECKING:
    from torch import Tensor


class BatchOrder(Protocol):
    """The order of the training data."""

    def batch(self, step: int, rows: slice) -> Batch:
        """Some rows of a step's global batch."""


@dataclass(frozen=True, kw_only=True)
class Course(Span):
    """What is to be done, step by step."""

    batch: int
    """Windows in a step, over all members."""
    micro_batch: int
    """Windows that a member takes at once."""
    context: int
    schedule: Schedule
    rising: int
    """Steps of the warm-up."""
    validate_every: int
    slices: int = 1
    """Neighbouring members who share each window."""


@dataclass(kw_only=True)
class Loop(Stepwise):
    """One member's part of a training run."""

    course: Course
    order: BatchOrder
    ledger: Ledger
    questions: Questions
    held_out: Batch | None
    flops_per_token: int
    peak: Peak
    besides: Besides = dict
    """What the model tells of its last pass beside the loss; the rows have it as means over the global batch."""

    @property
    def span(self) -> Span:
        return self.course

    def _check_resumed(self, place: str) -> None:
        self.ledger.check(self.rows, place)

    def paces(self, steps: int) -> list[float]:
        """Tokens a second in each of the first steps, none of which is put on record."""
        return [self._step(done)["tokens_per_second"] for done in range(1, steps + 1)]

    def _measure(self, row: dict[str, Any]) -> None:
        """Now and then, and at the end, the held-out loss."""
        done = row["step"]
        if self.held_out is not None and (done % self.course.validate_every == 0 or done == self.course.steps):
            row["validation_loss"] = self._validate(self.held_out)
            self.measured = {"validation_loss": row["validation_loss"]}

    def _put_together(self) -> None:
        self.ledger.enter(self.rows)
        super()._put_together()

    def _step(self, done: int) -> dict[str, Any]:
        started = time.perf_counter()
        rate = self.course.schedule.rate(done - 1, self.course.steps, self.course.rising)
        told = {name: mean(self.member, self.engine.device, value) for name, value in self._gradients(done - 1).items()}
        loss = told.pop("loss")
        norm, passed = self._update(done, loss, rate)
        tokens, before = self.course.batch * self.course.context, self.rows[-1]["tokens"] if self.rows else 0
        pace = round(tokens / (time.perf_counter() - started), 1)
        return {
            "step": done,
            "tokens": before if passed else before + tokens,
            "loss": finite(loss),
            "learning_rate": rate,
            "gradient_norm": finite(norm),
            **{name: finite(value) for name, value in told.items()},
            "tokens_per_second": pace,
            "mfu": mfu(pace, self.flops_per_token, self.peak, self.member.size),
            **passed,
        }

    def _gradients(self, step: int) -> dict[str, float]:
        """Add the gradients of this member's rows of the global batch; their mean `loss`, and that of what is told beside it."""
        rows = rows_of(self.member, self.course.batch, self.course.slices)
        with self.economy.waiting("data"):
            batch, place = self.order.batch(step, rows), Place(step, rows.start)
        self.ledger.note(step, batch)
        seen: dict[str, list[Tensor]] = defaultdict(list)
        for start in range(0, rows.stop - rows.start, self.course.micro_batch):
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


def mfu(tokens_per_second: float, flops_per_token: int, peak: Peak, size: int) -> float:
    """Model FLOPs utilisation: the part of what the gang's devices could do that went into the model's matrix products."""
    return round(tokens_per_second * flops_per_token / (peak.flops * size), 4)
