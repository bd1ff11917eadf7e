"""The watch over a run: what goes wrong is told of with its documents, and stopped at, passed over or gone back from."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.history.exposure import exposures, order_of
from jobs.history.replay import replay
from jobs.trace import show
from pipeline.batches.chain import START, extended, row_digests
from pipeline.batches.order import Order
from pipeline.errors import RequestError, RunError
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.ledger import CHAIN
from pipeline.train.plain import PlainEngine
from pipeline.train.watch import PASSED, Watch
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.jobs.running import job
from tests.train.poisoned import Poison, Poisoned, poison_of
from tests.train.tiny import pretrain, tokens, weights_of

Build = Callable[[Any], Checkpoint]
STEPS = 18


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    store = open_store(str(tmp_path_factory.mktemp("root")))
    run([tokens()], store, InlineExecutor())
    return Order(pretrain().mixture, [open_artifact(store, tokens())], 32, 4, 0)


@pytest.fixture(scope="module")
def poison(order: Order) -> Poison:
    return poison_of(order, STEPS, range(6, 15))


def poisoned(poison: Poison, act: Any, **fields: Any) -> Any:
    return pretrain(STEPS, model=Poisoned(dim=32, depth=2, heads=2, words=poison.words), watch=Watch(act=act), **fields)


def rows_of(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """The metrics, without what a clock says, and which run it was."""
    clocked = ("seconds", "tokens_per_second", "mfu", "economy", "made_by")
    return [{name: value for name, value in row.items() if name not in clocked} for row in checkpoint.metrics()]


def interrupted(build: Build, step: Any, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until the plug is pulled in an update."""
    taken: list[int] = []
    plain = PlainEngine.step

    def pulled(engine: PlainEngine, rate: float) -> float:
        taken.append(1)
        if len(taken) == at:
            raise KeyboardInterrupt
        return plain(engine, rate)

    with monkeypatch.context() as patch:
        patch.setattr(PlainEngine, "step", pulled)
        with pytest.raises(KeyboardInterrupt):
            build(step)


def test_a_run_that_stops_names_the_step_and_a_file_with_the_documents_of_its_batch(
    build: Build, store: Store, order: Order, poison: Poison
) -> None:
    first = poison.steps[0]
    with pytest.raises(
        RunError, match=rf"the loss is nan in step {first + 1}: lower schedule\.peak .*; the \d+ documents .* listed in "
    ) as told:
        build(poisoned(poison, "stop"))
    listed = json.loads(Path(str(told.value).split("listed in ")[1]).read_text())
    assert listed == {"step": first + 1, "batch": first, "why": "the loss is nan", "documents": order.documents_in(first)}


@pytest.mark.parametrize("act", ["skip", "rewind"])
def test_a_poisoned_batch_makes_no_update_and_is_on_record(
    build: Build, store: Store, order: Order, poison: Poison, act: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = build(poisoned(poison, act))
    rows, passed = found.metrics(), poison.steps
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["step"] - 1 for row in rows if PASSED in row] == passed == found.facts[PASSED]
    for step in passed:
        assert rows[step][PASSED] == {"why": "the loss is nan", "documents": order.documents_in(step)}
        assert (rows[step]["loss"], rows[step]["gradient_norm"]) == (None, None)
        assert f"the loss is nan in step {step + 1}, which is passed over; the " in caplog.text
    assert rows[-1]["tokens"] == found.facts["tokens"] == (STEPS - len(passed)) * 4 * 32
    assert f"No update was made of the batches {', '.join(map(str, passed))}, counted from 0" in (found.model / "README.md").read_text()


def test_going_back_ends_in_the_bytes_of_passing_over(build: Build, store: Store, poison: Poison) -> None:
    """Also where there is no checkpoint yet but the one of no steps."""
    skipped = build(poisoned(poison, "skip"))
    for save_every in (5, 100):
        rewound = build(step := poisoned(poison, "rewind", save_every=save_every))
        assert rows_of(rewound) == rows_of(skipped)
        assert weights_of(rewound.model) == weights_of(skipped.model)
        store.delete(f"{step.address}/manifest.json")


@pytest.mark.parametrize("act", ["skip", "rewind"])
def test_interrupted_anywhere_it_passes_over_the_same_steps_and_ends_in_the_same_bytes(
    build: Build, store: Store, poison: Poison, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = build(step := poisoned(poison, act))
    expected = rows_of(undisturbed), weights_of(undisturbed.model)
    for at in (3, poison.steps[0] + 1, poison.steps[0] + 2, 14):
        store.delete(f"{step.address}/manifest.json")
        interrupted(build, step, at, monkeypatch)
        found = build(step)
        assert (rows_of(found), weights_of(found.model)) == expected


@pytest.mark.parametrize("act", ["skip", "rewind"])
def test_a_run_that_stopped_is_gone_on_with_by_one_that_passes_over(
    build: Build, store: Store, poison: Poison, act: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = poisoned(poison, act)
    fresh = build(step)
    assert "there is no checkpoint to go on from" not in caplog.text
    store.delete(f"{step.address}/manifest.json")
    with pytest.raises(RunError, match=r"use skip as watch\.act to go on from the newest checkpoint"):
        build(poisoned(poison, "stop"))
    taken: list[int] = []
    plain = PlainEngine.step
    monkeypatch.setattr(PlainEngine, "step", lambda engine, rate: taken.append(1) or plain(engine, rate))
    found = build(step)
    assert len(taken) <= STEPS - 5, "it did not begin with the first step"
    assert (rows_of(found), weights_of(found.model)) == (rows_of(fresh), weights_of(fresh.model))


def test_jumps_that_a_run_did_not_stop_at_are_not_taken_over() -> None:
    assert Watch(act="skip").stopping() == Watch()
    assert Watch(act="rewind", spike=10.0, window=50, most=3).stopping() == Watch(spike=10.0, window=50)


def test_a_gradient_norm_that_is_no_number_is_passed_over(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, taken = PlainEngine.backward, []

    def overflowing(engine: PlainEngine, loss: torch.Tensor) -> None:
        taken.append(1)
        plain(engine, loss * float("inf") if len(taken) == 4 else loss)

    monkeypatch.setattr(PlainEngine, "backward", overflowing)
    found = build(pretrain(8, watch=Watch(act="skip")))
    row = found.metrics()[3]
    assert row[PASSED]["why"] in ("the gradient norm is nan", "the gradient norm is inf")
    assert (row["gradient_norm"], found.facts[PASSED]) == (None, [3])
    assert row["loss"] > 0


def test_a_jump_of_the_loss_is_passed_over(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, taken = PlainEngine.loss, []

    def jumping(engine: PlainEngine, *inputs: torch.Tensor) -> torch.Tensor:
        taken.append(1)
        return plain(engine, *inputs) * (10.0 if len(taken) == 12 else 1.0)

    monkeypatch.setattr(PlainEngine, "loss", jumping)
    found = build(pretrain(15, validate_every=100, watch=Watch(act="skip", spike=5.0, window=8)))
    assert found.facts[PASSED] == [11]
    assert "standard deviations above the median" in found.metrics()[11][PASSED]["why"]


def losses(*values: float) -> list[dict[str, Any]]:
    return [{"step": step, "loss": value} for step, value in enumerate(values, 1)]


def test_a_jump_is_told_by_the_newest_losses_that_made_an_update() -> None:
    watch = Watch(spike=6.0, window=5)
    rows = losses(9.0, 2.0, 2.1, 1.9, 2.05)
    assert watch.of_loss(99.0, rows[:4]) is None, "there are too few to tell by"
    assert watch.of_loss(2.3, rows) is None
    assert watch.of_loss(0.1, rows) is None, "only a rise is a jump"
    assert "of 2.05," in str(watch.of_loss(3.0, rows))
    passed = {"step": 6, "loss": None, PASSED: {}}
    assert watch.of_loss(3.0, [*rows, passed]) == watch.of_loss(3.0, rows)
    assert Watch(window=5).of_loss(1e9, rows) is None, "nothing is a jump by default"


def test_more_wrong_steps_than_are_allowed_end_the_run(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, taken = PlainEngine.loss, []

    def worn_out(engine: PlainEngine, *inputs: torch.Tensor) -> torch.Tensor:
        taken.append(1)
        return plain(engine, *inputs) * (float("nan") if len(taken) > 5 else 1.0)

    monkeypatch.setattr(PlainEngine, "loss", worn_out)
    with pytest.raises(RunError, match=r"loss is nan in step 9, and 3 of 20 steps were passed over before: .* raise watch\.most \(now 3\)"):
        build(pretrain(validate_every=100, watch=Watch(act="skip", most=3)))


def test_the_chain_is_that_of_the_batches_that_made_an_update(build: Build, store: Store, order: Order, poison: Poison) -> None:
    found, chain = build(poisoned(poison, "skip")), START
    for step, row in enumerate(found.metrics()):
        if step not in poison.steps:
            chain = extended(chain, row_digests(order.batch(step)))
        assert row[CHAIN] == chain
    assert replay(store, found.manifest).chain == chain


def test_a_document_was_not_seen_in_a_step_that_was_passed_over(build: Build, store: Store, poison: Poison) -> None:
    found, step = build(poisoned(poison, "skip")), poison.steps[0]
    order = order_of(store, found.manifest)
    document = order.documents_in(step)[0]
    (exposure,) = exposures(store, [document])
    assert exposure.steps.get(document, []) == [seen for seen in order.steps_of(document, STEPS) if seen not in poison.steps]
    told = job("trace", "--root", store.url, "--step", str(step), "--json").result
    assert told["passed_over"] is True
    assert show(told).startswith(f"{found.address} passed over in step {step}:\n{document}")


def test_metrics_with_other_passed_steps_than_the_manifest_are_told_of(build: Build, store: Store, poison: Poison) -> None:
    found = build(poisoned(poison, "skip"))
    manifest = found.manifest
    with pytest.raises(RunError, match=rf"the batch of step {poison.steps[0]} is another one"):
        replay(store, type(manifest)(**{**vars(manifest), "facts": {**manifest.facts, PASSED: []}}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"act": "wait"}, "watch.act is 'wait': use stop, skip or rewind"),
        ({"spike": 0.0}, "watch.spike is 0.0: use a number of standard deviations above 0"),
        ({"spike": float("nan")}, "watch.spike is nan"),
        ({"window": 1}, "watch.window is 1: use at least 2"),
        ({"most": 0}, "watch.most is 0: use at least 1"),
    ],
)
def test_a_wrong_watch_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Watch(**fields)


def test_a_run_that_stops_keeps_its_address_and_another_act_has_another() -> None:
    assert pretrain(watch=Watch()).address == pretrain().address != pretrain(watch=Watch(act="skip")).address
    assert "watch" not in pretrain().recipe
    assert pretrain(watch=Watch(act="skip", most=99)).address == pretrain(watch=Watch(act="skip")).address
