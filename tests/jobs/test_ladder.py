"""A ladder is trained, fitted and told in one command, which goes on from wherever it was killed and however many runs were at once."""

import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.laddering import Laddering, LadderPlan
from jobs.recipes.tiny import RECIPE
from pipeline.errors import RequestError
from tests.jobs.running import PROJECT, Finished, environment, job

SIZES = ("dim=8,depth=1", "dim=16,depth=1", "dim=24,depth=2")
BUDGETS = (4096, 8192, 16384)
ASKED = Laddering(sizes=SIZES, budgets=BUDGETS, target="dim=32,depth=2", target_tokens=32768)
REQUEST = (
    *("tiny", "--sources", f"{sysconfig.get_path('stdlib')}/asyncio", "--validation", "0.3", "--cluster", "none", "--json"),
    *("--compute.engine", "plain", "--compute.workers", "1", "--schedule.decay", "wsd"),
    *("--sizes", *SIZES, "--budgets", *map(str, BUDGETS), "--target", "dim=32,depth=2", "--target-tokens", "32768"),
)


def ladder(root: Path, *more: str) -> Finished:
    return job("ladder", *REQUEST, "--root", str(root), *more)


@pytest.mark.slow
def test_runs_that_are_at_once_or_killed_end_in_the_ladder_of_runs_one_by_one(tmp_path: Path) -> None:
    alone = ladder(tmp_path / "alone").result
    kill_after_a_run(tmp_path / "killed")
    killed = ladder(tmp_path / "killed", "--at-once", "2").result
    for name in ("ladder", "points", "law", "optimal", "frontier", "spread", "target"):
        assert killed[name] == alone[name], name
    assert 0 < len(killed["built"]) < len(alone["built"])
    assert ladder(tmp_path / "killed", "--at-once", "2").result["built"] == []
    page = (tmp_path / "killed" / killed["report"].split("/killed/")[-1]).read_text()
    assert f"{alone['target']['loss']:.3f}" in page


def kill_after_a_run(root: Path) -> None:
    """Begin a ladder of two runs at once and kill it when one of them is done: none goes on without it."""
    command = [sys.executable, str(PROJECT / "jobs/ladder.py"), *REQUEST, "--root", str(root), "--at-once", "2"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        wait_until(lambda: any(root.glob("evaluate/*/manifest.json")), running)
        children = descendants(running.pid)
        assert children
        running.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(alive, children)))


def wait_until(there: Callable[[], bool], running: "subprocess.Popen[bytes] | None" = None, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        assert running is None or running.poll() is None
        time.sleep(0.05)


def descendants(process: int) -> Sequence[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    children = [int(word) for word in path.read_text().split()] if path.exists() else []
    return [*children, *(below for child in children for below in descendants(child))]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_shorter_runs_of_a_size_branch_off_its_longest_where_the_schedule_allows_it() -> None:
    schedule = replace(RECIPE.schedule, decay="wsd")
    rungs = LadderPlan(replace(RECIPE, schedule=schedule), ASKED).fit.rungs
    assert [rung.checkpoint.trunk for rung in rungs] == [None, 16384, 16384] * 3
    assert [len(rung.checkpoint.keep_at) for rung in rungs] == [2, 0, 0] * 3
    apart = LadderPlan(RECIPE, ASKED).fit.rungs
    assert all(rung.checkpoint.trunk is None and not rung.checkpoint.keep_at for rung in apart)


def test_trunks_are_trained_first_and_of_them_the_costliest() -> None:
    plan = LadderPlan(replace(RECIPE, schedule=replace(RECIPE.schedule, decay="wsd")), ASKED)
    trunks, branches = plan.waves()
    assert [evaluation.checkpoint.model for evaluation in trunks] == list(reversed(plan.sizes))
    assert len(branches) == 6


def test_the_smallest_is_trained_first_where_that_is_asked_for() -> None:
    (runs,) = LadderPlan(RECIPE, replace(ASKED, first="smallest")).waves()
    (largest_first,) = LadderPlan(RECIPE, ASKED).waves()
    assert runs[0].checkpoint.model == LadderPlan(RECIPE, ASKED).sizes[0]
    assert runs[0].checkpoint.token_budget == min(BUDGETS)
    assert list(runs) == list(reversed(largest_first))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Laddering(budgets=BUDGETS), "--sizes is empty"),
        (Laddering(sizes=SIZES), "--budgets is empty"),
        (Laddering(sizes=(*SIZES, SIZES[0]), budgets=BUDGETS), f"--sizes has {SIZES[0]} twice"),
        (Laddering(sizes=SIZES, budgets=(4096, 4096, 8192)), "--budgets has 4096 twice"),
        (Laddering(sizes=SIZES, budgets=BUDGETS, target="dim=32"), "--target and --target-tokens belong together"),
        (Laddering(sizes=SIZES, budgets=BUDGETS, target="dim=32", target_tokens=0), "--target-tokens is 0"),
    ],
)
def test_what_is_no_ladder_is_told_at_once(wrong: Laddering, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        wrong.check()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (("dim=8", "dim=16", "wide"), "--sizes 'wide' is no size: write SETTING=NUMBER"),
        (("dim=8", "dim=16", "widht=3"), "widht"),
        (("dim=8", "dim=16", "dim=many"), "'many'"),
        (("dim=8", "dim=16"), "the ladder has 2 sizes"),
    ],
)
def test_a_size_that_cannot_be_is_told_with_the_remedy(sizes: tuple[str, ...], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        LadderPlan(RECIPE, Laddering(sizes=sizes, budgets=BUDGETS)).fit  # noqa: B018


def test_a_trunk_of_the_recipe_is_refused(tmp_path: Path) -> None:
    done = ladder(tmp_path / "root", "--trunk", "32768")
    assert done.code == 2
    assert "--trunk is 32768, which a ladder decides on" in done.error
