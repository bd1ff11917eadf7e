"""What a training costs: time, waits, memory, energy and money, of each step and of the whole, and of the runs that it went on from.

A row of metrics has it as `economy`: `data_seconds` (waited for batches), `save_seconds` (waited for checkpoints, since the step before),
both of the member that waited longest; `worker_seconds` (the step's time, of all members together, with what it waited), `device`,
and where they are known `peak_bytes` (the most of a worker's memory so far), `joules` (of all accelerators) and `price`. What
members see of it is put together when there is something to be saved, so that a step costs no exchange. A row that was
taken over from another run names that run as `made_by`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.train.attempts import Attempts
from pipeline.train.gang import gather
from pipeline.train.gauges import energy_gauge, memory_gauge
from pipeline.train.prices import Prices
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.step import Member

if TYPE_CHECKING:
    import torch

ECONOMY, MADE_BY = "economy", "made_by"
LONGEST = ("data_seconds", "save_seconds", "peak_bytes")
"""Of these the gang's is that of the member with most; joules are added."""
Cost = dict[str, Any]


@dataclass(kw_only=True)
class Economy:
    """One member's part of the record. Every member calls each method but `facts`."""

    run: str
    """The address of the run."""
    member: Member
    device: str
    """Its name."""
    attempts: Attempts
    prices: Prices | None
    peak_bytes: Callable[[], int | None]
    joules: Callable[[], float] | None
    timed: dict[str, float] = field(default_factory=dict)
    """Seconds since the last step, by what was waited for."""
    joules_before: float = 0.0
    seconds_before: float = 0.0
    pending: dict[int, Cost] = field(default_factory=dict)
    """What this member saw of the steps that are not yet put together."""

    @classmethod
    def of(cls, run: str, member: Member, device: "torch.device", name: str, attempts: Attempts, prices: Prices | None) -> "Economy":
        return cls(
            run=run,
            member=member,
            device=name,
            attempts=attempts,
            prices=prices,
            peak_bytes=memory_gauge(device),
            joules=energy_gauge(device),
        )

    def begin(self, rows: Sequence[dict[str, Any]], place: str) -> None:
        """Go on from the rows of a checkpoint at a place, if there is one."""
        if not place.startswith(f"{self.run}/"):
            for row in rows:
                row.setdefault(MADE_BY, "/".join(place.split("/")[:2]))
        self.seconds_before = rows[-1]["seconds"] if rows else 0.0
        self.joules_before = self.joules() if self.joules else 0.0
        if self.member.rank == 0:
            self.attempts.begin(len(rows))

    def go_back(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Go on from earlier rows once more: what is undone is counted to the step that follows."""
        self.seconds_before = rows[-1]["seconds"] if rows else 0.0
        self.pending.clear()

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Count what happens within as `name`_seconds."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timed[name] = self.timed.get(name, 0.0) + time.perf_counter() - started

    def note(self, row: dict[str, Any]) -> None:
        """Add what a step cost to its row, as this member sees it."""
        cost: Cost = {f"{name}_seconds": round(self.timed.get(name, 0.0), 4) for name in ("data", "save")}
        cost |= {"worker_seconds": round((row["seconds"] - self.seconds_before) * self.member.size, 3), "device": self.device}
        if (peak := self.peak_bytes()) is not None:
            cost["peak_bytes"] = peak
        if self.joules is not None:
            before, self.joules_before = self.joules_before, self.joules()
            cost["joules"] = round(self.joules_before - before, 3)
        self.timed.clear()
        self.seconds_before = row["seconds"]
        self.pending[row["step"]] = cost
        row[ECONOMY] = self._priced(cost)
        if self.member.rank == 0:
            self.attempts.note(row["step"])

    def enter(self, rows: Sequence[dict[str, Any]]) -> None:
        """Put together what all members saw of the steps since the last time."""
        seen, own = gather(self.member, self.pending), [row for row in rows if row["step"] in self.pending]
        for row in own:
            costs = [member[row["step"]] for member in seen]
            together = {**costs[0], **{name: max(cost[name] for cost in costs) for name in LONGEST if all(name in cost for cost in costs)}}
            if all("joules" in cost for cost in costs):
                together["joules"] = round(sum(cost["joules"] for cost in costs), 3)
            row[ECONOMY] = self._priced(together)
        self.pending = {}
        if self.member.rank == 0 and rows:
            self.attempts.write(rows[-1]["step"])

    def facts(self, rows: Sequence[Mapping[str, Any]], began_with: Manifest | None = None) -> dict[str, Any]:
        """What the run cost, and with it the runs that led to its weights, as far as that is on record.

        `began_with` is the model whose weights it began with. What has no cost on record is named as `uncounted`.
        """
        own, taken = [row for row in rows if MADE_BY not in row], [row for row in rows if MADE_BY in row]
        seconds = rows[-1]["seconds"] - (taken[-1]["seconds"] if taken else 0.0)
        lost = self.attempts.lost(seconds)
        spent = added(by_device(own), {self.device: {"worker_seconds": lost.restart_seconds * self.member.size}})
        earlier = {} if began_with is None else began_with.facts.get(ECONOMY, {}).get("lineage", {})
        missing = [began_with.address] if began_with is not None and not earlier else []
        missing = [*earlier.get("uncounted", missing), *(row[MADE_BY] for row in taken if ECONOMY not in row)]
        uncounted = {"uncounted": list(dict.fromkeys(missing))} if missing else {}
        runs = dict.fromkeys([*earlier.get("runs", ()), *(row[MADE_BY] for row in taken), self.run])
        return {
            "device": self.device,
            "seconds": round(seconds, 3),
            **{name: round(sum(row.get(ECONOMY, {}).get(name, 0.0) for row in own), 3) for name in ("data_seconds", "save_seconds")},
            **asdict(lost),
            **({"peak_bytes": peak} if (peak := max(_known(own, "peak_bytes"), default=None)) is not None else {}),
            **self._bill(spent),
            "lineage": {"runs": list(runs), **uncounted, **self._bill(added(earlier.get("devices", {}), by_device(taken), spent))},
        }

    def _bill(self, spent: Mapping[str, Cost]) -> dict[str, Any]:
        """What was spent, by device and in all; a price only where all of it has one."""
        found: dict[str, Any] = {
            "worker_hours": round(sum(cost["worker_seconds"] for cost in spent.values()) / 3600, 6),
            "devices": {name: {what: round(value, 3) for what, value in cost.items()} for name, cost in spent.items()},
        }
        if any("joules" in cost for cost in spent.values()):
            found["joules"] = round(sum(cost.get("joules", 0.0) for cost in spent.values()), 3)
        if self.prices is not None:
            amounts = [self.prices.amount(name, cost["worker_seconds"], cost.get("joules")) for name, cost in spent.items()]
            known = [amount for amount in amounts if amount is not None]
            if len(known) == len(amounts):
                found |= {"price": round(sum(known), 9), "currency": self.prices.currency}
        return found

    def _priced(self, cost: Cost) -> Cost:
        amount = None if self.prices is None else self.prices.amount(cost["device"], cost["worker_seconds"], cost.get("joules"))
        return cost if amount is None else {**cost, "price": round(amount, 9)}


def by_device(rows: Sequence[Mapping[str, Any]]) -> dict[str, Cost]:
    """Seconds of workers, and joules where they were counted, by the name of the device."""
    costs = [row[ECONOMY] for row in rows if ECONOMY in row]
    return added(*({cost["device"]: {name: cost[name] for name in ("worker_seconds", "joules") if name in cost}} for cost in costs))


def added(*parts: Mapping[str, Mapping[str, float]]) -> dict[str, Cost]:
    """The sums of costs, by device."""
    sums: dict[str, Cost] = {}
    for part in parts:
        for device, cost in part.items():
            total = sums.setdefault(device, {})
            for name, value in cost.items():
                total[name] = total.get(name, 0.0) + value
    return sums


def _known(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [row[ECONOMY][name] for row in rows if name in row.get(ECONOMY, {})]
