"""The learning rate as a function of the step: nothing to save, nothing to lose."""

import math
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up to the peak, then a decay that reaches the floor at the last step."""

    peak: float = 3e-3
    """Greatest learning rate."""
    warmup: float = 0.02
    """Fraction of the steps in which the rate rises."""
    floor: float = 0.1
    """Last learning rate, as a fraction of the peak."""
    decay: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        if not self.peak > 0:
            raise RequestError(f"schedule.peak is {self.peak}: use a learning rate above 0, such as 0.003")
        for name in ("warmup", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"schedule.{name} is {getattr(self, name)}: use a fraction from 0 to 1")
        if self.decay not in ("cosine", "linear"):
            raise RequestError(f"schedule.decay is {self.decay!r}: use cosine or linear")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        rising = round(self.warmup * steps)
        if step < rising:
            return self.peak * (step + 1) / rising
        passed = (step - rising) / max(1, steps - 1 - rising)
        left = (1 + math.cos(math.pi * passed)) / 2 if self.decay == "cosine" else 1 - passed
        return self.peak * (self.floor + (1 - self.floor) * left)
