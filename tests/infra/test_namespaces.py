"""Training across machines that have a network of their own each, where this one may make such."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.infra.elastic import elastic
from tests.infra.namespaces import INTERFACE, Machine, NotPermittedError, cluster_on, machines
from tests.infra.test_elastic import SECONDS, assert_equal_course, until
from tests.jobs.running import PROJECT

pytestmark = pytest.mark.slow
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
TRAINS = "ray::RayTrainWorker"


@pytest.fixture
def three() -> Iterator[list[Machine]]:
    try:
        with machines(3) as made:
            yield made
    except NotPermittedError as problem:
        pytest.skip(f"no network namespaces here: {problem}")


@pytest.fixture
def environment() -> dict[str, str]:
    """That of all processes; gloo by itself takes the interface that the machine's name stands for, which is none of these."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**own, **TOKEN, "GLOO_SOCKET_IFNAME": INTERFACE}


def test_a_gang_across_two_machines_sees_the_batches_of_one_process_and_comes_to_its_losses(
    three: list[Machine], environment: dict[str, str], short_folder: Path, tmp_path: Path
) -> None:
    head, *nodes = three
    root, said = tmp_path / "root", tmp_path / "said"
    store = open_store(str(root))
    run([part.tokens for part in elastic(2).mixture], store, InlineExecutor())
    with cluster_on(head, nodes, environment, short_folder) as address, said.open("w") as file:
        command = head.command(sys.executable, "-m", "tests.infra.elastic", address, str(root), "2")
        driver = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=file, stderr=file)
        try:
            until(lambda: any(line.isdecimal() for line in said.read_text().splitlines()), driver, said)
            training = [sum(TRAINS in name for name in machine.names()) for machine in three]
            assert driver.wait(SECONDS) == 0, said.read_text()
        finally:
            driver.kill()
            driver.wait()
    assert training == [0, 1, 1]
    trained = open_artifact(store, elastic(2))
    assert trained.facts["workers"] == 2
    assert_equal_course(trained, tmp_path / "alone")


def test_who_has_no_token_is_refused_from_another_machine(
    three: list[Machine], environment: dict[str, str], short_folder: Path, tmp_path: Path
) -> None:
    head, other, _ = three
    stranger = {name: value for name, value in environment.items() if not name.startswith("RAY_")} | {"HOME": str(tmp_path)}
    asked = "import sys\nfrom infra.ray_cluster import running_at\nrunning_at(sys.argv[1])"
    with cluster_on(head, [], environment, short_folder) as address:
        command = other.command(sys.executable, "-c", asked, address)
        refused, admitted = (
            subprocess.run(command, cwd=PROJECT, env=who, capture_output=True, text=True) for who in (stranger, environment)
        )
    assert "does not take our token" in refused.stderr
    assert admitted.returncode == 0, admitted.stderr


def test_nothing_stays_of_machines_that_were_used_nor_of_those_that_a_killed_process_left() -> None:
    killed = "import os\nfrom tests.infra.namespaces import machines\nwith machines(1):\n    os.kill(os.getpid(), 9)"
    dead = subprocess.Popen([sys.executable, "-c", killed], cwd=PROJECT, stderr=subprocess.DEVNULL)
    dead.wait()
    try:
        with machines(1) as (only,):
            assert f"millrace-{dead.pid}-" not in told("netns", "list")
            assert f"mr{dead.pid}" not in told("link")
            sleeper = subprocess.Popen(only.command("sleep", "600"))
            while sleeper.pid not in only.processes():
                assert sleeper.poll() is None
                time.sleep(0.05)
    except NotPermittedError as problem:
        pytest.skip(f"no network namespaces here: {problem}")
    assert sleeper.wait(10) == -9
    assert only.name not in told("netns", "list")
    assert f"mr{os.getpid()}" not in told("link")


def told(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout
