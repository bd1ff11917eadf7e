"""What `--cluster` means, and what it says where it means nothing or nobody answers."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import infra.ray_cluster
from infra.ray_cluster import check_cluster, cluster, keep_token_private
from infra.ray_executor import RayExecutor
from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import InlineExecutor
from tests.conftest import RunningRay
from tests.infra.steps import corpus, left
from tests.submission import submit

PROJECT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from infra.ray_cluster import cluster
from pipeline.storage import open_store
from pipeline.workflow.run import run
from tests.infra.steps import Grow, corpus
from tests.infra.listening import listening
where, root = sys.argv[1:]
with cluster(where, 2) as executor:
    run([corpus(), Grow(shards=1)], open_store(root), executor)
    print(json.dumps(listening()))
"""


def test_none_is_this_process() -> None:
    with cluster("none") as executor:
        assert isinstance(executor, InlineExecutor)


@pytest.mark.parametrize("where", ["", "nowhere", "host:port", "http://127.0.0.1:8265", "127.0.0.1"])
def test_a_word_that_is_no_cluster_is_refused(where: str) -> None:
    with pytest.raises(RequestError, match="is no cluster: use local, auto, none or HOST:PORT"):
        check_cluster(where)


@pytest.mark.parametrize("where", ["local", "auto", "none", "127.0.0.1:6379", "head.example.org:6379", "[::1]:6379"])
def test_words_that_are_clusters_are_taken(where: str) -> None:
    check_cluster(where)


def test_a_ray_client_address_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(RequestError, match="use `ray job submit"):
        check_cluster("ray://127.0.0.1:10001")


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(RequestError, match="--workers is 0: use 1 or more"), cluster("local", 0):
        pass


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port at which connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("where", ["closed port", "deaf port", "auto"])
def test_a_cluster_that_does_not_answer_is_a_wrong_request(where: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infra.ray_cluster, "REACH_SECONDS", 1.0)
    address = {"closed port": "127.0.0.1:9", "deaf port": f"127.0.0.1:{deaf}", "auto": "auto"}[where]
    if where == "auto":
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(RequestError, match=rf"--cluster {address}: no Ray answers at .*use --cluster local"), cluster(address):
        pass


@pytest.mark.parametrize("token", ["0" * 64, None])
def test_a_wrong_token_is_told_of(
    token: str | None, ray_cluster: RunningRay, executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        (tmp_path / "token").write_text(token)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(RequestError, match="does not take our token: set RAY_AUTH_MODE=token"), cluster(ray_cluster.address):
        pass


@pytest.mark.parametrize("before", [None, 0o644, 0o600])
def test_the_token_is_readable_for_its_user_alone(before: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "ray" / "auth_token"
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(place))
    if before is not None:
        place.parent.mkdir()
        place.write_text("kept")
        place.chmod(before)
    keep_token_private()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert place.read_text() == "kept" if before is not None else len(place.read_text()) == 64


def _script(tmp_path: Path, where: str, environment: dict[str, str]) -> Any:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), where, "root"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_local_starts_a_ray_on_loopback_and_stops_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    listening = _script(tmp_path, "local", environment)
    assert any(address.startswith("127.0.0.1:") for address in listening)
    assert [address for address in listening if not address.startswith("127.0.0.1:")] == []
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600
    assert left(corpus(), open_store(str(tmp_path / "root")))  # a relative root lies in the driver's folder
    home = f"HOME={tmp_path}\0".encode()
    assert [place.name for place in Path("/proc").glob("[0-9]*/environ") if home in _read(place)] == []


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_in_a_submitted_job_local_is_the_cluster_that_it_runs_in(ray_cluster: RunningRay, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "submitted"
    for package in ("pipeline", "infra", "tests"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "script.py").write_text(SCRIPT + "import os; print('RAN IN', os.getcwd())\n")
    done = submit(ray_cluster.jobs, [sys.executable, "script.py", "local", store.url], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runtime_resources" in done.stdout.split("RAN IN ")[1].splitlines()[0]
    assert left(corpus(), store)
