"""The record of the batches that a run saw: the same for any gang, and compared when a run is resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.multiprocessing.spawn import spawn

from pipeline.batches.chain import START, extended, row_digests
from pipeline.batches.order import Order
from pipeline.errors import RunError
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.ledger import CHAIN, Ledger
from pipeline.train.plain import PlainEngine
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import Unit, open_artifact
from tests.train.meeting import meeting
from tests.train.tiny import Lone, pretrain, tokens

BATCH, CONTEXT = 12, 16
Row = dict[str, Any]
Build = Callable[[Any], Checkpoint]


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    store, step = open_store(str(tmp_path_factory.mktemp("root"))), pretrain()
    run([step.mixture[0].tokens], store, InlineExecutor())
    return Order(step.mixture, [open_artifact(store, tokens())], CONTEXT, BATCH, 0)


def expected(order: Order, steps: int) -> list[str]:
    """The chain after each step, of whole batches."""
    chains = [START]
    for step in range(steps):
        chains.append(extended(chains[-1], row_digests(order.batch(step))))
    return chains[1:]


class Gang:
    """Members in threads: `gather` gives each of them what all have."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier, self.values = size, Barrier(size, timeout=60), [None] * size

    def gather(self, member: Any, value: Any) -> list[Any]:
        self.values[member.rank] = value
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()
        return values

    def run(self, work: Callable[[Lone], Any]) -> list[Any]:
        """What comes of each member's work."""
        found: list[Any] = [None] * self.size

        def one(rank: int) -> None:
            found[rank] = work(Lone(rank, self.size))

        threads = [Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


def ledger(order: Order, member: Lone) -> Ledger:
    return Ledger(read=order.batch, batch=BATCH, context=CONTEXT, member=member)


def trained(order: Order, member: Lone, rows: list[Row], steps: int, saves: set[int]) -> list[Row]:
    """What a member's loop does with its ledger."""
    kept, rows = ledger(order, member), [dict(row) for row in rows]
    kept.check(rows, "a folder")
    for step in range(len(rows), steps):
        kept.note(step, order.batch(step, slice(member.rank * kept.share, (member.rank + 1) * kept.share)))
        rows.append({"step": step + 1})
        if step + 1 in saves:
            kept.enter(rows)
            assert not kept.noted, "what is on record need not be remembered"
    kept.enter(rows)
    return rows


sizes, saved = st.sampled_from([1, 2, 3, 4]), st.sets(st.integers(1, 9), max_size=3)


@settings(max_examples=30)
@given(before=sizes, after=sizes, steps=st.integers(1, 9), broken=st.integers(0, 9), saves=saved)
def test_every_row_has_the_chain_of_whole_batches_whatever_the_number_of_members_before_and_after_a_break(
    order: Order, before: int, after: int, steps: int, broken: int, saves: set[int]
) -> None:
    rows: list[Row] = []
    for size, until in ((before, min(broken, steps)), (after, steps)):
        gang, had = Gang(size), rows
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.train.ledger.gather", gang.gather)
            found = gang.run(lambda member, had=had, until=until: trained(order, member, had, until, saves))  # type: ignore[misc]
        assert all(each == found[0] for each in found)
        rows = found[0]
    assert [row[CHAIN] for row in rows] == expected(order, steps)


@pytest.mark.parametrize("step", [0, 4, 8])
def test_a_checkpoint_that_saw_another_batch_is_refused_with_its_step_and_the_remedy(order: Order, step: int) -> None:
    rows = [{"step": number + 1, CHAIN: chain} for number, chain in enumerate(expected(order, 9))]
    ledger(order, Lone()).check(rows, "a folder")
    rows[step][CHAIN] = "f" * 32
    with pytest.raises(RunError, match=rf"a folder holds a checkpoint whose batch of step {step}, .*: delete that folder to begin again"):
        ledger(order, Lone()).check(rows, "a folder")


def test_of_a_long_run_the_newest_steps_are_read_again(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.ledger.CHECKED_TOKENS", 3 * BATCH * CONTEXT)
    rows = [{"step": number + 1, CHAIN: chain} for number, chain in enumerate(expected(order, 9))]
    read: list[int] = []

    def noting(step: int, part: slice) -> Any:
        read.append(step)
        return order.batch(step, part)

    Ledger(read=noting, batch=BATCH, context=CONTEXT, member=Lone()).check(rows, "a folder")
    assert read == [6, 7, 8]


def test_a_batch_that_was_not_noted_is_read_for_the_record(order: Order) -> None:
    kept, rows = ledger(order, Lone()), [{"step": step + 1} for step in range(3)]
    kept.note(0, order.batch(0))
    kept.note(2, order.batch(2))
    kept.enter(rows)
    assert [row[CHAIN] for row in rows] == expected(order, 3)


def chains(checkpoint: Checkpoint) -> list[str]:
    return [row[CHAIN] for row in checkpoint.metrics()]


def test_any_micro_batch_leaves_the_same_chain_and_another_seed_or_batch_another(build: Build, store: Store) -> None:
    found = []
    for fields in ({"micro_batch": 4}, {"micro_batch": 1, "save_every": 2}, {"seed": 1}, {"batch": 2, "token_budget": 6 * 2 * 32}):
        step = pretrain(6, **fields)
        found.append(build(step))
        store.delete(f"{step.address}/manifest.json")  # else the second one is found done
    assert found[0].facts["batches"] == {"steps": 6, "chain": chains(found[0])[-1]}
    assert chains(found[0]) == chains(found[1])
    assert len({chains(checkpoint)[-1] for checkpoint in found[1:]}) == 3


def test_a_resumed_run_has_the_chain_of_one_that_was_not_disturbed(build: Build, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = chains(build(pretrain(12)))
    store.delete(f"{pretrain(12).address}/manifest.json")
    break_off(build, monkeypatch)
    assert chains(build(pretrain(12))) == undisturbed


def break_off(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a while, and leave a checkpoint of five steps."""
    with monkeypatch.context() as patch:
        patch.setattr(PlainEngine, "step", lambda engine, rate, plain=PlainEngine.step, taken=[]: _eighth(taken) or plain(engine, rate))
        with pytest.raises(RuntimeError, match="plug"):
            build(pretrain(12))


def _eighth(taken: list[int]) -> None:
    taken.append(1)
    if len(taken) == 8:
        raise RuntimeError("pulled the plug")


def test_a_run_does_not_go_on_from_a_checkpoint_of_other_data(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(build, monkeypatch)
    plain = Pretrain._order
    monkeypatch.setattr(Pretrain, "_order", lambda step, opened: replace(plain(step, opened), seed=7))
    with pytest.raises(RunError, match=r"step-00000005 holds a checkpoint whose batch of step 0, counted from 0"):
        build(pretrain(12))


def _member(rank: int, size: int, folder: str) -> None:
    with meeting(Path(folder, f"meeting-{size}"), rank, size):
        recipe = pretrain(5, batch=BATCH, token_budget=5 * BATCH * 32, workers=size, micro_batch=2, save_every=2)
        unit = Unit(open_store(f"{folder}/root"), recipe.address, "train", 0)
        facts = recipe.train(unit, Lone(rank, size))
        if rank == 0:
            Path(folder, f"{size}.json").write_text(json.dumps(facts["batches"]))


@pytest.mark.slow
def test_gangs_of_one_to_four_processes_leave_the_same_chain(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "root"))
    run([tokens()], store, InlineExecutor())
    for size in (2, 3, 4):
        spawn(_member, (size, str(tmp_path)), nprocs=size)
        for entry in list(store.list(f"{pretrain().name()}")):
            store.delete(entry.path)
    alone = pretrain(5, batch=BATCH, token_budget=5 * BATCH * 32)
    run([alone], store, InlineExecutor())
    batches = open_artifact(store, alone).facts["batches"]
    assert [json.loads((tmp_path / f"{size}.json").read_text()) for size in (2, 3, 4)] == [batches] * 3
