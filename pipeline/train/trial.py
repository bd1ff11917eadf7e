"""How fast a training is in some layout: a few of its steps, of which nothing is kept but how long they took."""

from dataclasses import dataclass, fields
from statistics import median
from typing import Any, ClassVar

from pipeline.batches.mixture import Weighted
from pipeline.models.base import Architecture
from pipeline.objectives.base import Attend, Objective
from pipeline.train.engine import Engines, Update
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import later
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit

WARMING = 3
"""Steps before those that count: kernels are chosen, and memory is taken, in the first ones."""


@dataclass(frozen=True, kw_only=True)
class Trial(Step[Artifact]):
    """The first steps of a pretraining, without a checkpoint. Here the layout is what is asked about, so it is part of the address.

    Facts: `tokens_per_second` (the median of `steps` steps, after some to warm up), and `peak_bytes` (of the first member; of its process
    on a CPU) or None.
    """

    artifact: ClassVar[type[Artifact]] = Artifact
    mixture: tuple[Weighted, ...]
    model: Architecture
    objective: Objective
    context: int
    batch: int
    update: Update
    attend: Attend
    seed: int
    engines: Engines
    workers: int
    micro_batch: int
    recompute: bool
    compile: bool = later(False)
    steps: int
    machine: str
    """The name of the machine, on which the answer depends."""

    @classmethod
    def of(cls, training: Pretrain, steps: int, machine: str) -> "Trial":
        """A trial of a training as it is laid out."""
        own = {field.name for field in fields(cls)} - {"steps", "machine"}
        return cls(steps=steps, machine=machine, **{name: getattr(training, name) for name in own})

    @property
    def training(self) -> Pretrain:
        """The training, as long as the trial is."""
        own: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("steps", "machine")}
        return Pretrain(token_budget=(WARMING + self.steps) * self.batch * self.context, **own)

    def run(self, context: Context) -> Facts:
        return context.gang(self.measure, self.workers).facts

    def measure(self, unit: Unit, member: Member) -> Facts:
        """One member's part."""
        found = self.training.tried(unit, member, WARMING + self.steps)
        pace = round(median(found["paces"][WARMING:]), 1)
        return {"tokens_per_second": pace, "peak_bytes": found["peak_bytes"]}
