"""Fixtures that every test may use."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.run import InlineExecutor, run
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact

settings.register_profile("millrace", deadline=None)  # machines are shared: a slow example proves nothing
settings.load_profile("millrace")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data files for trials, beside the checkout; no part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no trial data in {folder}")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


@pytest.fixture
def build(store: Store) -> Callable[[Step[Any]], Any]:
    """Builds a step (and what it needs) in this process and opens its artifact."""

    def build_step(step: Step[Any]) -> Artifact:
        run([step], store, InlineExecutor())
        return open_artifact(store, step)

    return build_step


@dataclass(frozen=True)
class RunningRay:
    """A Ray that runs: where drivers connect, and where jobs are submitted."""

    address: str
    jobs: str


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RunningRay]:
    """One Ray for all tests: on loopback, with a token of its own, with three cores whatever the machine has."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-ray-", dir="/tmp"))  # Ray's sockets need a short path
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback
        patch.delenv("RAY_ADDRESS", raising=False)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            client_port = taken.getsockname()[1]
        options = ["--num-cpus=3", "--port=0", "--dashboard-port=0", f"--ray-client-server-port={client_port}", f"--temp-dir={folder}"]
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats", *options]
        output = folder / "output"
        with output.open("w") as file:
            head = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=os.environ | {"NO_COLOR": "1"})
        try:
            yield _when_up(head, folder, output)
        finally:
            head.terminate()
            head.wait(60)
            shutil.rmtree(folder, ignore_errors=True)


def _when_up(head: "subprocess.Popen[bytes]", folder: Path, output: Path) -> RunningRay:
    until = time.monotonic() + 120
    while time.monotonic() < until and head.poll() is None:
        jobs = re.search(r"http://127\.0\.0\.1:\d+", output.read_text())
        if jobs and (folder / "ray_current_cluster").exists():
            return RunningRay((folder / "ray_current_cluster").read_text().strip(), jobs[0])
        time.sleep(0.2)
    raise RuntimeError(f"no Ray came up: {output.read_text()}")
