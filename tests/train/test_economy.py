"""What a training costs: of each step, of the whole with what restarts took, and of the runs that led to its weights."""

import dataclasses
import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.storage import Store
from pipeline.train import gauges
from pipeline.train.attempts import Attempts, Lost
from pipeline.train.economy import ECONOMY, MADE_BY, Economy
from pipeline.train.prices import Prices
from pipeline.workflow.artifact import Manifest
from tests.train.test_branch import SHARED, SHORT, branch, trunk
from tests.train.test_ledger import Gang
from tests.train.test_phases import break_off, taken, trained
from tests.train.tiny import Lone, pretrain

PRICES = Prices(currency="EUR", worker_hour=(("cpu", 3600.0), ("H100", 7200.0)), kilowatt_hour=3.6e6)
"""A worker's second costs 1 on a CPU and 2 on a card, and a joule 1."""
CPU = torch.device("cpu")


def economy(store: Store, member: Lone, device: str = "cpu", prices: Prices | None = PRICES, run: str = "pretrain/1") -> Economy:
    return Economy.of(run, member, CPU, device, Attempts(store=store, folder=f"{run}/work/attempts"), prices)


def row(step: int, seconds: float, **cost: Any) -> dict[str, Any]:
    return {"step": step, "seconds": seconds, **({ECONOMY: cost} if cost else {})}


def model(step: str, **facts: Any) -> Manifest:
    return Manifest(step, "0", {}, {}, (), facts)


def test_every_row_has_its_cost_and_they_add_up_to_the_runs(store: Store) -> None:
    checkpoint = trained(store, pretrain(steps=12, prices=PRICES))
    rows, total = checkpoint.metrics(), checkpoint.facts["economy"]
    costs = [found[ECONOMY] for found in rows]
    assert sum(cost["worker_seconds"] for cost in costs) == pytest.approx(rows[-1]["seconds"], abs=0.02)
    assert total["seconds"] == rows[-1]["seconds"]
    assert total["price"] == pytest.approx(sum(cost["price"] for cost in costs), abs=0.02)
    assert total["currency"] == "EUR"
    assert 0 < total["data_seconds"] == pytest.approx(sum(cost["data_seconds"] for cost in costs), abs=1e-3)
    assert total["peak_bytes"] == max(cost["peak_bytes"] for cost in costs) > 1_000_000
    assert [found["step"] for found in rows if found[ECONOMY]["save_seconds"] > 0] == [6, 11], "after checkpoints of 5 and 10 steps"
    assert "joules" not in total, "nobody counts those of a CPU"
    assert (total["restarts"], total["steps_again"], total["restart_seconds"]) == (0, 0, 0)
    most = checkpoint.facts["peak"]["flops"]
    for found in rows:
        assert found["mfu"] == pytest.approx(found["tokens_per_second"] * checkpoint.facts["flops_per_token"] / most, abs=1e-4)


def test_without_a_list_of_prices_nothing_is_said_of_them(store: Store) -> None:
    checkpoint = trained(store, pretrain(steps=3))
    assert checkpoint.facts["economy"].keys().isdisjoint({"price", "currency"})
    assert "price" not in checkpoint.metrics()[0][ECONOMY]


def test_prices_are_no_part_of_what_is_trained() -> None:
    assert dataclasses.replace(pretrain(), prices=PRICES).address == pretrain().address


def test_what_a_break_cost_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.attempts.NOTED_SECONDS", 0.0)
    step = pretrain(steps=12)
    for after in (8, 3):  # from the start to 8, then from the checkpoint of 5 steps to 8 again
        break_off(store, step, after, monkeypatch)
    taken(monkeypatch)
    found = trained(store, step).facts["economy"]
    assert (found["restarts"], found["steps_again"]) == (2, 3 + 3)
    assert found["restart_seconds"] > 0
    assert found["devices"]["cpu"]["worker_seconds"] == pytest.approx(found["seconds"] + found["restart_seconds"], abs=0.05)


def test_a_branch_counts_its_own_steps_and_beside_them_those_that_its_trunk_made(store: Store) -> None:
    whole = trained(store, trunk(keep_at=(SHARED,)))
    part = trained(store, branch())
    rows, found = part.metrics(), part.facts["economy"]
    assert [each.get(MADE_BY) for each in rows] == [whole.address] * SHARED + [None] * (SHORT - SHARED)
    assert found["lineage"]["runs"] == [whole.address, part.address]
    assert found["seconds"] == pytest.approx(rows[-1]["seconds"] - rows[SHARED - 1]["seconds"], abs=2e-3)
    assert found["lineage"]["devices"]["cpu"]["worker_seconds"] == pytest.approx(rows[-1]["seconds"], abs=0.05)


def test_of_a_gang_the_longest_wait_and_the_largest_memory_count_and_the_energy_of_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gang = Gang(3)
    monkeypatch.setattr("pipeline.train.economy.gather", gang.gather)

    def work(member: Lone) -> dict[str, Any]:
        meter = itertools.count(0, 10 * (member.rank + 1))
        own = economy(store, member, device="NVIDIA H100")
        own.joules, own.peak_bytes = lambda: float(next(meter)), lambda: 100 * (member.rank + 1)
        rows = [row(1, 1.0)]
        own.begin(rows, "pretrain/1/work/checkpoints/a/step-00000001")
        own.timed = {"data": float(member.rank)}
        rows.append(row(2, 3.0))
        own.note(rows[-1])
        own.enter(rows)
        found: dict[str, Any] = rows[-1][ECONOMY]
        return found

    found = gang.run(work)
    assert found[0] == found[1] == found[2]
    assert {**found[0], "price": None} == {
        "data_seconds": 2.0,
        "save_seconds": 0.0,
        "worker_seconds": 6.0,
        "device": "NVIDIA H100",
        "peak_bytes": 300,
        "joules": 60.0,
        "price": None,
    }
    assert found[0]["price"] == pytest.approx(6.0 * 2 + 60.0)


def test_what_a_run_began_with_is_added_to_what_it_cost(store: Store) -> None:
    before = {"lineage": {"runs": ["pretrain/0"], "devices": {"NVIDIA H100": {"worker_seconds": 10.0, "joules": 5.0}}}}
    own = economy(store, Lone(), run="finetune/1")
    own.begin([], "")
    found = own.facts([row(1, 4.0, device="cpu", worker_seconds=4.0)], model("pretrain", economy=before))
    assert (found["price"], found["lineage"]["price"]) == (pytest.approx(4.0), pytest.approx(4.0 + 20.0 + 5.0))
    assert found["lineage"]["runs"] == ["pretrain/0", "finetune/1"]
    assert found["lineage"]["joules"] == 5.0


def test_a_whole_of_which_a_part_has_no_price_has_none(store: Store) -> None:
    own = economy(store, Lone())
    own.begin([], "")
    before = {"lineage": {"runs": ["pretrain/0"], "devices": {"NVIDIA B200": {"worker_seconds": 10.0}}}}
    found = own.facts([row(1, 4.0, device="cpu", worker_seconds=4.0)], model("pretrain", economy=before))
    assert "price" in found
    assert "price" not in found["lineage"]


def test_what_has_no_cost_on_record_is_named(store: Store) -> None:
    own, rows = economy(store, Lone(), run="finetune/1"), [row(1, 4.0, device="cpu", worker_seconds=4.0)]
    own.begin([], "")
    assert "uncounted" not in own.facts(rows)["lineage"]
    foreign = own.facts(rows, model("foreign-checkpoint"))
    assert foreign["lineage"]["uncounted"] == ["foreign-checkpoint/0"]
    assert own.facts(rows, model("finetune", economy=foreign))["lineage"]["uncounted"] == ["foreign-checkpoint/0"]
    taken = {**row(1, 1.0), MADE_BY: "pretrain/0"}
    assert own.facts([taken, row(2, 2.0, device="cpu", worker_seconds=1.0)])["lineage"]["uncounted"] == ["pretrain/0"]


def test_rows_from_before_costs_were_counted_are_taken_as_they_are(store: Store) -> None:
    own = economy(store, Lone())
    old = [row(1, 1.0), row(2, 2.0)]
    own.begin(old, "pretrain/1/work/checkpoints/a/step-00000002")
    new = row(3, 3.5)
    own.note(new)
    own.enter([*old, new])
    assert old == [row(1, 1.0), row(2, 2.0)]
    assert new[ECONOMY]["worker_seconds"] == 1.5
    assert own.facts([*old, new])["seconds"] == 3.5


@pytest.mark.parametrize("words", [b"", b"[]", b"{}", b'{"first": "x", "done": 1, "seconds": 1}'])
def test_a_damaged_record_of_an_attempt_is_passed_over(words: bytes, store: Store) -> None:
    store.put("pretrain/1/work/attempts/0.json", words)
    assert Attempts(store=store, folder="pretrain/1/work/attempts").lost(0.0) == Lost(0, 0, 0.0)


def test_a_record_that_cannot_be_written_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    attempts = Attempts(store=store, folder="pretrain/1/work/attempts")
    monkeypatch.setattr(type(store), "put", full)
    attempts.begin(0)
    attempts.note(1)
    assert attempts.lost(0.0) == Lost(0, 0, 0.0)


def test_how_far_an_attempt_is_is_written_now_and_then(store: Store) -> None:
    attempts = Attempts(store=store, folder="pretrain/1/work/attempts")
    attempts.begin(5)
    attempts.note(6)
    (entry,) = store.list("pretrain/1/work/attempts")
    assert json.loads(store.get(entry.path))["done"] == 5, "the first word is a moment old"


class Library:
    """Stands in for NVML: a device that has taken 5 joules when it is asked first, and one more each time."""

    NVMLError = RuntimeError

    def __init__(self, known: str) -> None:
        self.known, self.taken = known, itertools.count(5000, 1000)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - the library's own names
        if uuid != self.known:
            raise RuntimeError("not found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        return next(self.taken)


def test_the_energy_of_an_accelerator_is_asked_of_the_driver_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library("GPU-one")
    monkeypatch.setattr(gauges, "nvml", lambda: library)
    for uuid, first in (("one", 6.0), ("two", None)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, uuid=uuid: SimpleNamespace(uuid=uuid))
        gauge = gauges.energy_gauge(torch.device("cuda", 0))
        assert (gauge and gauge()) == first
    assert gauges.energy_gauge(CPU) is None


def test_the_peak_of_a_process_begins_anew_with_each_training() -> None:
    peak = gauges.memory_gauge(CPU)
    before = peak()
    if before is None:
        pytest.skip("this system does not say")
    filled = torch.ones(50_000_000, dtype=torch.uint8)
    assert peak() >= before + 40_000_000  # type: ignore[operator]
    del filled
    assert gauges.memory_gauge(CPU)() < before + 40_000_000  # type: ignore[operator]
