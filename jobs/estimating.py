"""What a pretraining will take, in words, and the refusal of one that cannot fit: before anything is started."""

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from infra.machine import this_machine
from infra.ray_cluster import INSIDE_JOB
from jobs.looking import Allowing
from jobs.recipe import Compute, PretrainRecipe, engines_of
from pipeline.errors import RequestError
from pipeline.report.words import compact, count, lasting, metric, size
from pipeline.storage import Store
from pipeline.tokens.tokenizer import entries_of
from pipeline.train.compiled import check_compiler
from pipeline.train.estimate import LIBRARIES, Estimate, Machine, estimate
from pipeline.train.fp8 import check_kind
from pipeline.train.prices import Prices
from pipeline.workflow.artifact import Manifest, manifests, read_manifest

log = logging.getLogger(__name__)
GIBIBYTE = 1 << 30
PARTS = ("weights", "gradients", "optimizer", "exchange", "activations", "logits")


@dataclass(frozen=True, kw_only=True)
class Planning(Allowing):
    """What a plan is made for. Nothing of it changes what is built."""

    device_memory: float | None = None
    """GiB of each worker's accelerator, for the estimate of what fits; None: as this machine has it, where training runs here."""

    def __post_init__(self) -> None:
        if self.device_memory is not None and not self.device_memory > 0:
            raise RequestError(f"device_memory is {self.device_memory}: use GiB above 0, or leave it out")

    def machine(self, cluster: str) -> Machine | None:
        """What the gang will run on; None where that cannot be known from here."""
        if self.device_memory is not None:
            told = round(self.device_memory * GIBIBYTE)
            return Machine(kind="cuda", name="", memory=told, free=told)
        return machine_of(cluster)


@dataclass(frozen=True)
class Forecast:
    """What is known of a recipe's pretraining before it starts."""

    recipe: PretrainRecipe
    vocabulary: int
    recorded: tuple[Manifest, ...]
    """The pretrainings of the root."""
    machine: Machine | None

    @classmethod
    def of(cls, recipe: PretrainRecipe, store: Store, machine: Machine | None) -> "Forecast | None":
        """None where the model is there already."""
        if read_manifest(store, recipe.checkpoint.address) is not None:
            return None
        check_priced(recipe.checkpoint.prices, machine)
        return cls(recipe, _vocabulary(recipe, store), tuple(manifests(store, "pretrain")), machine)

    def estimate(self, compute: Compute) -> Estimate:
        """What the training takes when it is run so."""
        layout = {"workers": compute.workers, "least_workers": None, "micro_batch": compute.micro_batch, "engines": engines_of(compute)}
        return estimate(replace(self.recipe.checkpoint, **layout), self.vocabulary, self.machine, self.recorded)

    def told(self) -> dict[str, Any]:
        """The estimate as `--json` gives it: bytes are those of one worker; what is not known is None."""
        found = self.estimate(self.recipe.compute)
        pace, seconds = found.pace, found.seconds
        return {
            **{name: getattr(found, name) for name in ("parameters", "tokens", "flops", "workers")},
            "memory": {**asdict(found.memory), "peak": found.memory.peak, "libraries": LIBRARIES},
            "tokens_per_second": None if pace is None else round(pace.tokens_per_second, 1),
            "as_in": None if pace is None else pace.run,
            "seconds": None if seconds is None else round(seconds, 1),
            "price": self._price(found),
            "machine": None if self.machine is None else asdict(self.machine),
            **({"fits": None, "remedies": []} if self.machine is None else self._fitting(found, self.machine)),
        }

    def _fitting(self, found: Estimate, machine: Machine) -> dict[str, Any]:
        fits = _states(found, machine) <= machine.memory
        return {"fits": fits, "remedies": [] if fits else self._remedies(machine)}

    def _price(self, found: Estimate) -> dict[str, Any] | None:
        prices = self.recipe.checkpoint.prices
        if prices is None or self.machine is None or found.seconds is None:
            return None
        amount = prices.amount(self.machine.name, found.seconds * found.workers)
        return None if amount is None else {"amount": round(amount, 6), "currency": prices.currency}

    def check(self) -> None:
        """Raise RequestError for a run that cannot fit, whatever passes through the model, or whose products the machine does not make;
        warn of one that is likely not to fit."""
        if self.machine is None:
            return
        if self.recipe.update.precision == "fp8":
            check_kind(self.machine.kind)
        if self.recipe.compute.compile:
            check_compiler(self.machine.kind)
        found = self.estimate(self.recipe.compute)
        if (needed := _states(found, self.machine)) > self.machine.memory:
            raise RequestError(
                f"weights, gradients and optimizer take {count(needed)} bytes ({size(needed)}) of {_place(self.machine)}, which has"
                f" {count(self.machine.memory)} ({size(self.machine.memory)}): use {' or '.join(self._remedies(self.machine))}"
            )
        if (likely := _sharing(found, self.machine) * (found.memory.peak + LIBRARIES + _host(found, self.machine))) > self.machine.free:
            log.warning(
                "training will take about %s of %s, which has %s to spare now: a smaller --compute.micro-batch, or a higher --compute.zero,"
                " takes less",
                *(size(likely), _place(self.machine), size(self.machine.free)),
            )

    def _remedies(self, machine: Machine) -> list[str]:
        """Other ways to run the same recipe that would fit."""
        compute = self.recipe.compute
        sharded = "--compute.engine deepspeed --compute.zero" if compute.engine == "plain" else "--compute.zero"
        ways = {
            **{f"{sharded} {zero}": replace(compute, engine="deepspeed", zero=zero) for zero in (2, 3)},
            "--compute.engine plain": replace(compute, engine="plain", offload="none"),
            f"--compute.workers 1{' --compute.sequence-parallel 1' if compute.sequence_parallel > 1 else ''}": replace(
                compute, workers=1, sequence_parallel=1
            ),
        }
        return [words for words, way in ways.items() if self._fits(way, machine)] or ["a smaller model, or more memory"]

    def _fits(self, compute: Compute, machine: Machine) -> bool:
        try:
            found = self.estimate(compute)
        except RequestError:  # this training cannot be run so
            return False
        return _states(found, machine) <= machine.memory


def machine_of(cluster: str) -> Machine | None:
    """What a gang will run on where it runs on this machine, else None."""
    return this_machine() if cluster == "none" or (cluster == "local" and INSIDE_JOB not in os.environ) else None


def check_priced(prices: Prices | None, machine: Machine | None) -> None:
    """Raise RequestError for a list of prices without the device that is known to do the work."""
    if prices is not None and machine is not None and machine.name and prices.amount(machine.name, 0.0) is None:
        raise RequestError(
            f'the list of prices has no worker_hour for a device named {machine.name!r}: add a line such as "{machine.name}" = 0.04'
        )


def _vocabulary(recipe: PretrainRecipe, store: Store) -> int:
    """Of the tokenizer that is there, or else as large as it is asked for."""
    made = read_manifest(store, recipe.tokenizer_step.address)
    if made is not None:
        return int(made.facts["vocabulary"])
    if recipe.tokenizer is None:
        return recipe.vocab_size
    from pipeline.tokens.existing import read_tokenizer

    return 1 + max(entries_of(read_tokenizer(recipe.tokenizer, None)).values())


def _states(found: Estimate, machine: Machine) -> int:
    """Bytes of the machine's memory, or of a device's, that are taken from the first step to the last."""
    return _sharing(found, machine) * (found.memory.states + _host(found, machine))


def _sharing(found: Estimate, machine: Machine) -> int:
    """Workers that share a memory: all of them that of the machine's processors, and each has an accelerator of its own."""
    return found.workers if machine.kind == "cpu" else 1


def _host(found: Estimate, machine: Machine) -> int:
    """Bytes that a worker holds in the machine's memory, where that is the one which is asked about."""
    return found.memory.host if machine.kind == "cpu" else 0


def _place(machine: Machine) -> str:
    return "this machine's memory" if machine.kind == "cpu" else f"a device's memory ({machine.name or 'as --device-memory has it'})"


def show_estimate(found: Mapping[str, Any]) -> str:
    """The estimate in a few lines."""
    memory, pace, price = found["memory"], found["tokens_per_second"], found["price"]
    parts = ", ".join(f"{name} {size(memory[name])}" for name in PARTS if memory[name])
    lines = [
        f"training: {compact(found['parameters'])} parameters, {compact(found['tokens'])} tokens, {found['flops']:.2g} FLOPs",
        f"memory:   about {size(memory['peak'])} a worker ({parts}), and {size(memory['libraries'])} of libraries on a CPU",
        *([f"offload:  {size(memory['host'])} a worker of the machine's memory beside that"] if memory["host"] else ()),
        "pace:     unknown before the first run of such a model on such a device in this root"
        if pace is None
        else f"pace:     about {compact(pace)} tokens/s, so {lasting(found['seconds'])} (as {found['as_in']} had it)",
    ]
    if price is not None:
        lines.append(f"price:    about {metric(price['amount'])} {price['currency']}")
    if found["fits"] is False:
        lines.append(f"it cannot fit into the memory there is, and would be refused: use {' or '.join(found['remedies'])}")
    return "\n".join(lines)
