"""Steps at a time, each in a process of its own: never more than asked for, the first ones first, and after those who wait for room."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from infra import ray_cluster as ray_cluster_module
from infra.room import waits_for_room
from jobs import sweep as sweeping
from jobs.command import Options
from jobs.sweep import sweep
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.workflow.artifact import read_manifest
from tests.conftest import RunningRay
from tests.jobs.slow import Slow


def built(numbers: range, root: Path, at_once: int, where: str = "none") -> list[dict[str, Any]]:
    """What steps said that a sweep built, in the order of the steps."""
    steps = [Slow(number=number) for number in numbers]
    assert set(sweep("sweep", steps, Options(root=str(root), cluster=where), at_once)) == set(steps)
    manifests = [read_manifest(open_store(str(root)), step.address) for step in steps]
    return [dict(manifest.facts) for manifest in manifests if manifest is not None]


def test_no_more_runs_than_asked_for_are_under_way_and_all_have_the_least_priority(tmp_path: Path) -> None:
    told = built(range(4), tmp_path, at_once=2)
    for each in told:
        assert sum(other["began"] <= each["began"] < other["ended"] for other in told) <= 2
        assert each["niceness"] == 19


def test_runs_begin_in_the_order_that_they_are_given_in(tmp_path: Path) -> None:
    begins = [each["began"] for each in built(range(3), tmp_path, at_once=1)]
    assert begins == sorted(begins)


@contextmanager
def full(address: str) -> Iterator[None]:
    """The cluster with work on all of its cores, and more that waits for them."""
    import ray

    refs = [ray.remote(num_cpus=1)(lambda: time.sleep(600)).remote() for _ in range(4)]
    try:
        until(lambda: waits_for_room(address))
        yield
    finally:
        for ref in refs:
            ray.cancel(ref, force=True)


def until(there: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.usefixtures("executor")
def test_on_a_cluster_a_sweep_begins_when_nobody_waits_for_room_and_its_workers_have_the_least_priority(
    ray_cluster: RunningRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 0.1)
    told: list[dict[str, Any]] = []
    thread = Thread(target=lambda: told.extend(built(range(1), tmp_path, 1, ray_cluster.address)), daemon=True)
    with full(ray_cluster.address):
        thread.start()
        until(lambda: "other work waits for room on the cluster" in caplog.text)
        time.sleep(1.0)
        released = time.time()
    thread.join(120)
    assert caplog.text.count("other work waits") == 1
    assert [each["niceness"] for each in told] == [19]
    assert told[0]["began"] > released


@pytest.mark.usefixtures("executor")
def test_what_is_larger_than_the_whole_cluster_holds_nobody_up(ray_cluster: RunningRay) -> None:
    import ray
    from ray.autoscaler.v2.sdk import get_cluster_status

    ref = ray.remote(num_cpus=100)(lambda: time.sleep(600)).remote()
    until(lambda: get_cluster_status(ray_cluster.address).resource_demands.ray_task_actor_demand)
    assert not waits_for_room(ray_cluster.address)
    ray.cancel(ref, force=True)
    until(lambda: not get_cluster_status(ray_cluster.address).resource_demands.ray_task_actor_demand)


@pytest.mark.usefixtures("executor")
def test_a_gang_that_waits_for_its_place_is_seen(ray_cluster: RunningRay) -> None:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    first, second = (placement_group([{"CPU": 1}] * 2) for _ in range(2))
    ray.get(first.ready())
    until(lambda: waits_for_room(ray_cluster.address))
    remove_placement_group(second)
    until(lambda: not waits_for_room(ray_cluster.address))
    remove_placement_group(first)


def test_a_sweep_on_a_cluster_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster_module, "REACH_SECONDS", 0.5)
    with pytest.raises(RequestError, match=r"--cluster 127\.0\.0\.1:9"):
        list(sweep("sweep", [Slow(number=0)], Options(root=str(tmp_path), cluster="127.0.0.1:9"), 1))
