"""The layouts that are tried for a training, and which of them can be."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from infra.machine import this_machine
from jobs.recipe import Compute, PretrainRecipe
from pipeline.errors import RequestError
from pipeline.train.compiled import check_compiler
from pipeline.train.pretrain import Pretrain

STAGES: dict[str, Literal[0, 1, 2, 3]] = {"zero-0": 0, "zero-1": 1, "zero-2": 2, "zero-3": 3}
ENGINES = ("plain", *STAGES)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What is tried, in all combinations."""

    engines: tuple[str, ...] = ENGINES
    """plain, and zero-0 to zero-3 for the stages of DeepSpeed."""
    micro_batches: tuple[int, ...] = ()
    """Windows that a worker takes at once; none: a quarter, half and all of its share of the batch."""
    gangs: tuple[int, ...] = ()
    """Numbers of workers; none: as many as the recipe has."""
    recomputes: tuple[bool, ...] = (False,)
    """Whether layers are computed once more in the backward pass."""
    compiles: tuple[bool, ...] = (False,)
    """Whether torch.compile makes programs of the layers."""
    steps: int = 8
    """That are timed, of each."""
    write: str | None = None
    """A file (.json) for the recipe with the best of them, which jobs/pretrain.py takes as its first argument."""

    def check(self) -> None:
        """Raise RequestError for what cannot be tried."""
        for option, given in (("--engines", self.engines), ("--recomputes", self.recomputes), ("--compiles", self.compiles)):
            if not given:
                raise RequestError(f"{option} is empty: name what to try, or leave it out")
        if unknown := [name for name in self.engines if name not in ENGINES]:
            raise RequestError(f"--engines has {unknown[0]!r}: use {', '.join(ENGINES)}")
        for option, numbers in (("--micro-batches", self.micro_batches), ("--gangs", self.gangs), ("--steps", (self.steps,))):
            if wrong := [number for number in numbers if number < 1]:
                raise RequestError(f"{option} has {wrong[0]}: use 1 or more")
        if self.write is not None and not self.write.endswith(".json"):
            raise RequestError(f"--write is {self.write!r}: use a name that ends in .json")


@dataclass(frozen=True)
class Layout:
    """One way to run a training."""

    compute: Compute
    training: Pretrain | None
    """None where it cannot be run so."""
    why: str = ""

    @property
    def words(self) -> str:
        """The options that ask for it."""
        engine = f"deepspeed --compute.zero {self.compute.zero}" if self.compute.engine == "deepspeed" else self.compute.engine
        if self.compute.offload != "none":
            engine += f" --compute.offload {self.compute.offload}"
        return (
            f"--compute.engine {engine} --compute.workers {self.compute.workers} --compute.micro-batch {self.compute.micro_batch}"
            f"{f' --compute.sequence-parallel {slices}' if (slices := self.compute.sequence_parallel) > 1 else ''}"
            f"{' --compute.recompute' if self.compute.recompute else ''}{' --compute.compile' if self.compute.compile else ''}"
        )


def layouts(recipe: PretrainRecipe, tuning: Tuning) -> Iterator[Layout]:
    """All combinations, each once; those that cannot be run say why."""
    seen = set[Compute]()
    gangs = tuning.gangs or (recipe.compute.workers,)
    for engine, workers, recompute, compiled in product(tuning.engines, gangs, tuning.recomputes, tuning.compiles):
        for micro_batch in sorted(set(tuning.micro_batches or _shares(recipe.batch * recipe.compute.sequence_parallel // workers))):
            compute = replace(
                recipe.compute,
                engine="deepspeed" if engine in STAGES else "plain",
                zero=STAGES.get(engine, recipe.compute.zero),
                workers=workers,
                least_workers=None,
                micro_batch=micro_batch,
                recompute=recompute,
                compile=compiled,
            )
            layout = _layout(recipe, compute)
            if layout.compute not in seen:
                seen.add(layout.compute)
                yield layout


def _layout(recipe: PretrainRecipe, compute: Compute) -> Layout:
    try:
        if compute.compile and (machine := this_machine()) is not None:
            check_compiler(machine.kind)
        training = replace(recipe, compute=compute).checkpoint
    except RequestError as problem:
        return Layout(compute, None, str(problem))
    return Layout(replace(compute, micro_batch=training.rows(compute.workers)), training)


def _shares(share: int) -> set[int]:
    return {max(1, share // part) for part in (1, 2, 4)}
