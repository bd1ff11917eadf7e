"""Whether a gang still moves: how long it has said nothing, beside how long it is silent as a rule."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.train.stepwise import LOOKING

KEPT = 1000
"""Silences that are remembered."""


@dataclass(kw_only=True)
class Pulse:
    """The times at which a gang told of its steps. Nothing is expected before the first of them, nor after the last, nor while it looks at
    something that takes as long as it takes."""

    times_the_usual: float = 10.0
    """How many times the usual silence (the 99th percentile of those before) is too long."""
    seconds: float
    """A shorter silence is never too long: a first look, or a first compilation, takes its time."""
    silences: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    last: float | None = None
    """When the gang spoke last; None while nothing is expected of it."""

    def beat(self, metrics: Mapping[str, Any], now: float) -> None:
        """The gang has spoken. What it says of its steps are `step`, of `steps` in all, and `looking` where it is silent from now on."""
        if self.last is not None:
            self.silences.append(now - self.last)
        self.last = now if metrics.get("step", 0) < metrics.get("steps", 0) and LOOKING not in metrics else None

    def stop(self) -> None:
        """The gang has ended, and its next beginning is no silence."""
        self.last = None

    @property
    def usual(self) -> float:
        """The 99th percentile of the silences before, in seconds."""
        return sorted(self.silences)[int(0.99 * len(self.silences))] if self.silences else 0.0

    def too_long(self, now: float) -> float | None:
        """The seconds of a silence that is too long; None for one that is not."""
        silent = 0.0 if self.last is None else now - self.last
        return silent if silent > max(self.seconds, self.times_the_usual * self.usual) else None
