"""What a pretraining will take, told before it starts: parameters, bytes of a worker, operations and time.

Everything is counted from the recipe by formula, so that a plan is shown at once and loads no torch. Memory is that of a CPU:
what PyTorch keeps there was counted tensor by tensor (`Architecture.kept`), and what engines hold was measured
(`Engines.holding`). Time is known where a run of such a model is on record: nobody can tell what a machine does without trying it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Manifest

WIDE, NARROW = 4, {"fp32": 4, "bf16": 2, "fp8": 2}
"""Bytes of a number; under fp8, what is kept is in bf16."""
BACKWARD = 1.5
"""What passes through a backward pass beside what was kept for it, as a factor: measured."""
LIBRARIES = 560_000_000
"""Bytes of the libraries of a worker in a Ray gang on a CPU: measured, and no part of the estimate of what a model takes."""
ALIKE = 4.0
"""A run whose tokens cost so many times as much, or such a part of it, says nothing about the pace of another."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The devices that a gang will run on."""

    kind: Literal["cpu", "cuda"]
    name: str
    """As its driver has it; empty where it is not known from here."""
    memory: int
    """Bytes of a device; of a CPU, those that all workers share."""
    free: int
    """Bytes of it that are not in use now."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one worker."""

    weights: int
    gradients: int
    optimizer: int
    exchange: int
    activations: int
    logits: int
    host: int = 0
    """What is held in the machine's memory in place of the device's; a CPU has no other."""

    @property
    def states(self) -> int:
        """What there is from the first step to the last, whatever the micro-batch."""
        return self.weights + self.gradients + self.optimizer

    @property
    def peak(self) -> int:
        return self.states + self.exchange + self.activations + self.logits


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a gang will be, as far as a run on record tells."""

    tokens_per_second: float
    run: str
    """The address of that run."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will take."""

    parameters: int
    tokens: int
    flops: float
    """Operations in all."""
    workers: int
    memory: Memory
    pace: Pace | None
    """None before the first run of such a model on such a device."""

    @property
    def seconds(self) -> float | None:
        return None if self.pace is None else self.tokens / self.pace.tokens_per_second


def estimate(step: Pretrain, vocab_size: int, machine: Machine | None, recorded: Iterable[Manifest]) -> Estimate:
    """The estimate of a run. `vocab_size` is the tokenizer's; `recorded` are the pretrainings of a root."""
    vocabulary = vocab_size + len(step.objective.added(step.context))
    a_token = step.model.flops_for(step.objective, vocabulary, step.context)
    tokens = step.steps * step.batch * step.context
    return Estimate(
        parameters=step.model.parameter_count(vocabulary, step.context),
        tokens=tokens,
        flops=float(a_token) * tokens,
        workers=step.workers,
        memory=memory_of(step, vocabulary),
        pace=None if machine is None else _pace(step, machine, a_token, recorded),
    )


def memory_of(step: Pretrain, vocabulary: int) -> Memory:
    """The bytes of a worker, for a vocabulary with what the objective adds to it."""
    parameters = step.model.parameter_count(vocabulary, step.context)
    held = step.engines.holding(parameters, step.workers)
    bare, kept = (step.model.kept(step.objective, vocabulary, step.context, apart) for apart in (False, step.attend == "document"))
    narrow, masks = NARROW[step.update.precision], kept.narrow - bare.narrow  # which are over whole windows in every worker
    passed = (kept.wide * WIDE + bare.narrow * narrow) / step.slices + masks * narrow
    if step.recompute:  # the inputs of all layers, and what one of them keeps
        passed = passed / step.model.depth + step.model.depth * step.context * step.model.dim * WIDE / step.slices
    copies = parameters * narrow if narrow < WIDE else 0  # of the weights, for the products
    return Memory(
        weights=held.weights * WIDE + copies,
        gradients=held.gradients * WIDE,
        optimizer=held.moments * WIDE,
        exchange=held.exchange * WIDE,
        activations=round(BACKWARD * step.rows(step.workers) * passed),
        logits=round(kept.once * WIDE),
        host=held.host * WIDE,
    )


def _pace(step: Pretrain, machine: Machine, a_token: int, recorded: Iterable[Manifest]) -> Pace | None:
    """As fast, in operations a second of a device, as the run on record whose tokens cost most nearly the same."""
    alike = [made for made in recorded if _is_alike(made, step, machine) and _apart(made, a_token) <= math.log(ALIKE)]
    if not alike:
        return None
    nearest = min(alike, key=lambda made: (_apart(made, a_token), made.address))
    facts = nearest.facts
    a_device = facts["tokens_per_second"] * facts["flops_per_token"] / _devices(machine, facts["workers"])
    return Pace(tokens_per_second=a_device * _devices(machine, step.workers) / a_token, run=nearest.address)


def _is_alike(made: Manifest, step: Pretrain, machine: Machine) -> bool:
    """Whether a run trained the same architecture in the same precision on the same device."""
    model, update = made.recipe["model"]["class"], made.recipe["update"]["precision"]
    same_device = bool(made.facts.get("peak", {}).get("device") == machine.name)
    return same_device and model == type(step.model).__name__ and update == step.update.precision


def _apart(made: Manifest, a_token: int) -> float:
    return abs(math.log(made.facts["flops_per_token"] / a_token))


def _devices(machine: Machine, workers: int) -> int:
    """Workers share a machine's processors, and each has an accelerator of its own."""
    return 1 if machine.kind == "cpu" else workers
