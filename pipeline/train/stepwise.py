"""What the loops of pretraining and of fine-tuning have in common: to go on from a checkpoint, to save meanwhile, to pass over what
went wrong, and to tell how far they are.

A loop says what a step is and what is measured after it. Its rows of metrics have at least `step`, `loss`, `seconds` (in the loop so far,
over all resumptions) and `economy` (what the step cost; see `economy.py`), and `save_failed` where a save was found to have failed (see
`saves.py`). A step that was passed over (see `watch.py`) made no update: it has `passed_over`, and None for what is no number.
"""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import RunError
from pipeline.train.economy import Economy
from pipeline.train.engine import Engine, Resumable
from pipeline.train.gang import mean
from pipeline.train.saves import Saves
from pipeline.train.watch import PASSED, Watcher
from pipeline.workflow.step import Member

REPORT_SECONDS = 2.0
"""Between two reports: one may cost more than a short step."""

LOOKING = "looking"
"""What a report has where nothing is heard of a run until it has looked at something, and at what."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """How far a run goes, and when it is saved."""

    steps: int
    save_every: int
    keep_at: tuple[int, ...] = ()
    """Steps after which a checkpoint is kept for good."""


@dataclass(kw_only=True)
class Stepwise(ABC):
    """One member's part of a training."""

    engine: Engine
    member: Member
    economy: Economy
    watcher: Watcher
    saves: Saves
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The metrics of the steps that are done."""
    settled: list[str] = field(default_factory=list)
    """The first of them as lines of JSON: those that nothing is added to any more."""
    reported_at: float = -math.inf
    """When the last report was made, on this member's clock."""
    measured: dict[str, float] = field(default_factory=dict)
    """What was measured last beside a step, for reports until it is again."""
    warned: bool = False
    """Whether a member's machine will be taken away soon."""

    @property
    @abstractmethod
    def span(self) -> Span:
        """How far it goes."""

    @property
    def state(self) -> Resumable:
        """What is saved, and gone on from."""
        return self.engine

    @abstractmethod
    def _step(self, done: int) -> dict[str, Any]:
        """One update, after which `done` steps are done; its metrics."""

    @abstractmethod
    def _measure(self, row: dict[str, Any]) -> None:
        """Add to a step's metrics what is to be measured after it, if anything."""

    def _check_resumed(self, place: str) -> None:  # noqa: B027 - not every loop keeps a ledger
        """Raise for a checkpoint at a place that this run cannot go on from."""

    def _ended(self) -> bool:
        """Whether no step follows."""
        return len(self.rows) >= self.span.steps

    def run(self) -> list[dict[str, Any]]:
        """Train to the last step; returns a row of metrics for every step since the first."""
        place = self._resume()
        self._check_resumed(place)
        self.economy.begin(self.rows, place)
        begun = time.perf_counter() - (self.rows[-1]["seconds"] if self.rows else 0.0)
        if self.rows:
            self._report(self.rows[-1])
        elif self.watcher.watch.act == "rewind":
            self._save(0)
        with self.saves:
            while not self._ended():
                row = self._step_or_pass(len(self.rows) + 1)
                if self.watcher.goes_back(row):
                    self._go_back()
                else:
                    self._enter(row, begun)
        self._put_together()
        return self.rows

    def _resume(self) -> str:
        """Go on from the newest checkpoint; returns its place."""
        resumed = self.saves.checkpoints.resume(self.state)
        self.rows, self.settled = [json.loads(line) for line in resumed.history.splitlines()], []
        return resumed.place

    def _go_back(self) -> None:
        """Go on from the newest checkpoint once more. Raises RunError where there is none."""
        self.saves.finish()
        if not self._resume():
            raise RunError("there is no checkpoint to go back to: see why none could be saved, or use skip as watch.act")
        self.economy.go_back(self.rows)

    def _step_or_pass(self, done: int) -> dict[str, Any]:
        """A step, or the row of one that is passed over after going back."""
        return dict(self.watcher.passed[done]) if done in self.watcher.passed else self._step(done)

    def _enter(self, row: dict[str, Any], begun: float) -> None:
        """Put a step's metrics on record, and what is to be done after it: measure, save, and report."""
        done = row["step"]
        self._measure(row)
        row["seconds"] = round(time.perf_counter() - begun, 3)
        self.economy.note(row)
        row |= self.saves.look()
        self.rows.append(row)
        due = done % self.span.save_every == 0 or done in self.span.keep_at or self._is_warned()
        if due and done < self.span.steps:
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
            return self.saves.begin(self.state, done, "".join([*self.settled, *map(json_line, self.rows[-1:])]))

    def _put_together(self) -> None:
        """Put what all members know of the steps so far into their rows."""
        self.economy.enter(self.rows)

    def _update(self, done: int, loss: float, rate: float) -> tuple[float, Mapping[str, Any]]:
        """Make the update of a step, unless it is wrong; returns the gradient norm, and what the metrics say where it was passed over."""
        norm, wrong = math.nan, self.watcher.watch.of_loss(loss, self.rows)
        if wrong is None:
            norm = self.engine.step(rate)
            wrong = self.watcher.watch.of_norm(norm)
        else:
            self.engine.drop()
        return norm, {} if wrong is None else self._note(done, wrong)

    def _note(self, done: int, wrong: str) -> Mapping[str, Any]:
        """Write down what is wrong with a step. Where the run ends by it, every member is here: what was to be saved is saved first."""
        told = self.saves.finish()
        return {**told, PASSED: self.watcher.note(done, wrong, self.rows)}

    def _report(self, row: Mapping[str, Any]) -> None:
        """Tell of the first step, the last, and now and then of one between."""
        now, ended = time.perf_counter(), self._ended()
        if now - self.reported_at >= REPORT_SECONDS or ended:
            self.reported_at = now
            self.member.report({**self.measured, **row, "steps": row["step"] if ended else self.span.steps})


def finite(value: float) -> float | None:
    """A number as metrics have it: None for what is none."""
    return value if math.isfinite(value) else None


def json_lines(rows: list[dict[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(map(json_line, rows))


def json_line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
