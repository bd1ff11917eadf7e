"""Runs that branch off a longer one, and end as if they had been trained alone."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.batches.mixture import Weighted
from pipeline.batches.phases import Phase
from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.train.schedule import Schedule
from tests.train.test_phases import SECOND, break_off, losses, taken, trained
from tests.train.tiny import pretrain

WSD = Schedule(peak=1e-2, warmup=0.1, floor=0.0, decay="wsd", cooldown=0.25)
STEP_TOKENS = 4 * 32
LONG, SHORT = 40, 20
SHARED = SHORT - 5
"""Steps until the rate of the short run begins to fall."""


def trunk(**fields: Any) -> Pretrain:
    return pretrain(LONG, **{"schedule": WSD, **fields})


def branch(steps: int = SHORT, **fields: Any) -> Pretrain:
    return pretrain(steps, **{"schedule": WSD, "trunk": LONG * STEP_TOKENS, **fields})


def files_of(checkpoint: Checkpoint) -> dict[str, bytes]:
    """All that transformers opens."""
    folder = checkpoint.model
    return {place.name: place.read_bytes() for place in folder.rglob("*") if place.is_file()}


def alone(folder: Path, step: Pretrain) -> Checkpoint:
    return trained(open_store(str(folder)), step)


@pytest.mark.parametrize(
    ("kept", "broken_after", "goes_on_at"),
    [
        ((SHARED,), None, SHARED),  # the trunk is done, and kept the place of the branch
        ((12, 18), None, 12),  # or one before it, and one behind it, which does not count
        ((), 17, 15),  # the trunk is under way
        ((12,), 14, 12),  # and has both
    ],
)
def test_a_branch_goes_on_from_its_trunk_and_ends_in_the_same_bytes_as_if_it_were_trained_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Sequence[int], broken_after: int | None, goes_on_at: int
) -> None:
    step = trunk(keep_at=tuple(kept))
    if broken_after is None:
        trained(store, step)
    else:
        break_off(store, step, broken_after, monkeypatch)
    steps = taken(monkeypatch)
    found = trained(store, branch())
    assert len(steps) == SHORT - goes_on_at, "it began from the checkpoint of the trunk"
    scratch = alone(tmp_path / "alone", branch())
    assert len(steps) == 2 * SHORT - goes_on_at
    assert losses(found) == losses(scratch)
    assert files_of(found) == files_of(scratch)


def test_up_to_its_cool_down_a_branch_has_the_losses_and_rates_of_its_trunk_and_behind_it_other_ones(store: Store, tmp_path: Path) -> None:
    whole, part = trained(store, trunk()), alone(tmp_path / "alone", branch())
    both = [[(row["loss"], row["learning_rate"], row.get("validation_loss")) for row in run.metrics()] for run in (whole, part)]
    assert both[0][:SHARED] == both[1][:SHARED]
    assert both[1][SHARED][1] < both[0][SHARED][1] == WSD.peak
    assert both[1][-1][1] == 0


def test_several_branches_share_one_trunk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(store, trunk(keep_at=(15, 22)))
    steps = taken(monkeypatch)
    for length in (20, 30):
        trained(store, branch(length))
    assert len(steps) == (20 - 15) + (30 - 22)


def test_a_branch_may_have_phases_which_its_trunk_has_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    then = (Phase(at=12, mixture=(Weighted(SECOND),)),)
    trained(store, trunk(keep_at=(11,)))
    steps = taken(monkeypatch)
    trained(store, branch(then=then))
    assert len(steps) == SHORT - 11, "up to the phase, the trunk without it did the same"


def test_without_a_checkpoint_of_its_trunk_a_branch_begins_with_the_first_step_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert trained(store, branch()).facts["steps"] == SHORT
    assert f"no checkpoint to go on from up to step {SHARED} in {trunk().address}: training begins with the first step" in caplog.text


def test_what_is_kept_for_branches_changes_no_address_and_a_trunk_does() -> None:
    assert trunk(keep_at=(3,)).address == trunk().address
    assert "trunk" not in trunk().recipe
    assert branch().address != pretrain(SHORT, schedule=WSD).address


def test_a_run_that_broke_off_goes_on_from_a_checkpoint_that_it_keeps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(store, trunk(keep_at=(12, 13)), 14, monkeypatch)
    steps = taken(monkeypatch)
    trained(store, trunk(keep_at=(12, 13)))
    assert len(steps) == LONG - 13


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"schedule": Schedule()}, r"trunk is 5120, and schedule\.decay is 'cosine', .*: use wsd, or no trunk"),
        ({"trunk": SHORT * STEP_TOKENS}, "trunk is 2560, a run of 20 steps, and this one has 20: use the token budget of a longer run"),
        (
            {"trunk": 300 * STEP_TOKENS},
            "trunk is 38400, whose warm-up takes 30 steps, and this run cools down from step 15 on: use a smaller",
        ),
        ({"keep_at": (4, SHORT)}, r"keep_at\[1\] is 20, in a run of 20 steps: use a step from 1 to 19"),
        ({"keep_at": (0,)}, r"keep_at\[0\] is 0"),
    ],
)
def test_a_branch_that_cannot_be_is_refused_before_anything_starts(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        branch(**fields)
