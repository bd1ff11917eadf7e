"""Drivers that are killed, or that run at once, end in the bytes of an undisturbed one."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import LocalStore
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.workflow.driver import COUNT, graph
from tests.workflow.steps import tree


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = str(tmp_path_factory.mktemp("undisturbed"))
    run([graph()], LocalStore(root), InlineExecutor())
    return tree(root)


def drive(root: Path, pause: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.workflow.driver", str(root), str(pause), str(root.parent / "done")]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)


def finish(driver: "subprocess.Popen[bytes]") -> None:
    _, complaints = driver.communicate(timeout=60)
    assert driver.returncode == 0, complaints.decode()


def facts(root: Path) -> list[Any]:
    store = LocalStore(str(root))
    manifests = [read_manifest(store, step.address) for step in (graph().numbers, graph())]
    return [manifest.facts for manifest in manifests if manifest]


def test_drivers_at_once_end_in_the_same_bytes(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    root = tmp_path / "root"
    drivers = [drive(root, 0.01) for _ in range(3)]
    for driver in drivers:
        finish(driver)
    run([graph()], LocalStore(str(root)), InlineExecutor())
    assert {path: data for path, data in tree(str(root)).items() if "/work/" not in path} == undisturbed
    assert facts(root) == [{"read": COUNT, "kept": COUNT, "dropped": {}}, {"parts": COUNT}]


def test_a_killed_driver_goes_on_from_its_receipts(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """Killed again and again; what was committed before a kill is never done again."""
    root, done = tmp_path / "root", tmp_path / "done"
    kills = random.Random(3)
    for _ in range(4):
        driver = drive(root, 0.05)
        while not root.exists() and driver.poll() is None:
            time.sleep(0.01)
        time.sleep(kills.uniform(0.05, 0.4))
        driver.kill()
        driver.communicate()
    finish(drive(root, 0.0))
    files = {path: data for path, data in tree(str(root)).items() if ".draft-" not in path}
    assert files == undisturbed
    assert facts(root) == [{"read": COUNT, "kept": COUNT, "dropped": {}}, {"parts": COUNT}]
    times = Counter(done.read_text().split())
    assert len(times) == COUNT
    assert sum(times.values()) <= COUNT + 4, "a kill may cost the unit that was under way, no other"
