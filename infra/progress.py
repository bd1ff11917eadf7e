"""What people see of a run, on stderr: a calm live line on a terminal, a plain line now and then in a log.

Finished steps stay as one line each, with their counts and seconds.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.report.words import count, lasting, summary
from pipeline.workflow.events import Advanced, Built, Event, Failed, Planned, Reported, Skipped, Started
from pipeline.workflow.step import Step

LINE_SECONDS = 5.0
"""Without a terminal, what is under way is told at most so often."""
NAME_WIDTH = 18
BAR_WIDTH = 24
Clock = Callable[[], float]


@dataclass
class Activity:
    """A step that is being built: how far, and how fast."""

    name: str
    started: float
    phase: str = ""
    done: int = 0
    total: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    pace_from: tuple[float, int] = (0.0, 0)
    """When the pace began to count, and what was done by then: a resumed step does not seem fast."""

    def advance(self, event: Advanced, now: float) -> None:
        if event.phase != self.phase:
            self.phase, self.pace_from, self.metrics = event.phase, (now, event.done), {}
        self.done, self.total = event.done, event.total

    def report(self, metrics: Mapping[str, Any], now: float) -> None:
        first = not self.metrics
        self.metrics = {**self.metrics, **metrics}
        self.done, self.total, self.phase = int(metrics.get("step", self.done)), int(metrics.get("steps", self.total)), ""
        if first:
            self.pace_from = (now, self.done)

    @property
    def _unit(self) -> str:
        """What is counted; a phase that is all of its step needs no name."""
        phase = self.phase.replace("_", " ") or "step"
        return "" if phase == self.name else phase

    def left(self, now: float) -> float | None:
        """Seconds until the phase is done, at its pace so far; None before there is one, and at the end."""
        since, before = self.pace_from
        if not before < self.done < self.total or now <= since:
            return None
        return (self.total - self.done) * (now - since) / (self.done - before)

    def words(self, now: float) -> list[str]:
        """How far it is, what matters most first: a narrow terminal shows the beginning."""
        words = []
        if self.total:
            words.append(f"{self._unit} {count(self.done)} of {count(self.total)}".lstrip())
        elif self.metrics:
            words.append(f"step {count(self.done)}")
        left = self.left(now)
        words.append(f"{lasting(now - self.started)} so far" if left is None else f"{lasting(left)} left")
        return words + [tell(self.metrics[name]) for name, tell in TOLD.items() if self.metrics.get(name) is not None]


TOLD: dict[str, Callable[[Any], str]] = {
    "loss": lambda loss: f"loss {loss:.4f}",
    "validation_loss": lambda loss: f"validation {loss:.4f}",
    "tokens_per_second": lambda pace: f"{count(pace)} tokens/s",
    "learning_rate": lambda rate: f"learning rate {rate:.2e}",
}
"""The metrics of training that are told, in this order."""


class Progress:
    """A listener for people."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
        self._clock = clock
        self._activity: Activity | None = None
        self._live: Live | None = None
        self._last_line = float("-inf")

    def __call__(self, event: Event) -> None:
        match event:
            case Started(step=step):
                self._start(step)
            case Advanced() if self._activity:
                self._activity.advance(event, self._clock())
                self._tell()
            case Reported(metrics=metrics) if self._activity:
                self._activity.report(metrics, self._clock())
                self._tell()
            case Built(step=step, manifest=manifest, seconds=seconds):
                self._finish()
                self._line("✓", step, summary(manifest.facts), lasting(seconds))
            case Skipped(step=step, manifest=manifest):
                self._line("·", step, summary(manifest.facts), "built before")
            case Failed(step=step, error=error):
                elapsed = self._finish()
                self._line("✗", step, "failed" if isinstance(error, Exception) else "interrupted", f"after {lasting(elapsed)}")
            case Planned():
                pass

    def _start(self, step: Step[Any]) -> None:
        self._activity = Activity(step.name(), self._clock())
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4, transient=True, redirect_stdout=False)
            self._live.start()
        self._tell()

    def _finish(self) -> float:
        """End what is shown of the step under way; returns its seconds."""
        if self._live:
            self._live.stop()
        elapsed = self._clock() - self._activity.started if self._activity else 0.0
        self._activity, self._live = None, None
        return elapsed

    def _line(self, mark: str, step: Step[Any], facts: str, lasted: str) -> None:
        style = {"✓": "green", "✗": "red", "·": "dim"}[mark]
        words = f"{facts}, {lasted}" if facts else lasted
        name = step.address.split("/")[0]
        self._console.print(Text.assemble((mark, style), f" {name:<{NAME_WIDTH}} ", (words, "dim" if mark == "·" else "")))

    def _tell(self) -> None:
        """Without a terminal: a plain line, if the last one was long enough ago."""
        now = self._clock()
        if self._live is None and self._activity and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._console.print(Text(f"  {self._activity.name:<{NAME_WIDTH}} {', '.join(self._activity.words(now))}"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live line: name, bar, facts."""
        if self._activity is None:
            return
        activity, now = self._activity, self._clock()
        width = BAR_WIDTH if options.max_width >= 90 else BAR_WIDTH // 3
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(width=NAME_WIDTH + 2, min_width=NAME_WIDTH + 2)
        row.add_column(width=width, min_width=width)
        row.add_column(ratio=1)
        row.add_row(
            Text.assemble(("▸", "cyan"), f" {activity.name}", overflow="ellipsis", no_wrap=True),
            ProgressBar(total=activity.total or None, completed=activity.done, pulse=not activity.total, width=width),
            Text(" · ".join(activity.words(now)), style="dim", overflow="ellipsis", no_wrap=True),
        )
        yield row
