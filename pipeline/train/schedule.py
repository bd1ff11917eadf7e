"""The learning rate as a function of the step: nothing to save, nothing to lose."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.errors import RequestError
from pipeline.workflow.fingerprint import later

Decay = Literal["cosine", "linear", "wsd"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up to the peak, then a decay that reaches the floor at the last step.

    With `wsd` (warm-up, stable, decay; Hu and others, 2024, arXiv:2404.06395) the rate stays at the peak and falls in a straight
    line at the end alone. Until then it knows nothing of the run's length, so runs of several lengths can share their beginning.
    """

    peak: float = 3e-3
    """Greatest learning rate."""
    warmup: float = 0.02
    """Fraction of the steps in which the rate rises."""
    floor: float = 0.1
    """Last learning rate, as a fraction of the peak."""
    decay: Decay = "cosine"
    cooldown: float = later(0.1)
    """Fraction of the steps in which the rate falls, with wsd; at least the last one."""

    def __post_init__(self) -> None:
        if not self.peak > 0:
            raise RequestError(f"schedule.peak is {self.peak}: use a learning rate above 0, such as 0.003")
        for name in ("warmup", "floor", "cooldown"):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"schedule.{name} is {getattr(self, name)}: use a fraction from 0 to 1")
        if self.decay not in get_args(Decay):
            raise RequestError(f"schedule.decay is {self.decay!r}: use {', '.join(get_args(Decay)[:-1])} or {get_args(Decay)[-1]}")
        if self.decay == "wsd" and self.warmup + self.cooldown > 1:
            raise RequestError(
                f"schedule.cooldown is {self.cooldown}, with a schedule.warmup of {self.warmup}: use fractions that are at most 1 together"
            )

    def rate(self, step: int, steps: int, rising: int | None = None) -> float:
        """The learning rate of step `step` (from 0) of `steps`, the first `rising` of which are the warm-up, if not this schedule's own."""
        rising = self.rising(steps) if rising is None else rising
        if step < rising:
            return self.peak * (step + 1) / rising
        start = max(rising, self.level(steps)) if self.decay == "wsd" else rising
        passed = max(0, step - start) / max(1, steps - 1 - start)
        left = (1 + math.cos(math.pi * passed)) / 2 if self.decay == "cosine" else 1 - passed
        return self.peak * (self.floor + (1 - self.floor) * left)

    def rising(self, steps: int) -> int:
        """How many of `steps` steps are the warm-up."""
        return round(self.warmup * steps)

    def level(self, steps: int) -> int:
        """The last step (from 0) of `steps` that has the peak, with wsd and a warm-up that is over by then."""
        return steps - 1 - max(1, round(self.cooldown * steps))
