"""Fixtures that every test may use."""

import atexit
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from hypothesis import settings

from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact

if TYPE_CHECKING:
    from infra.ray_executor import RayExecutor

settings.register_profile("millrace", deadline=None)  # machines are shared: a slow example proves nothing
settings.load_profile("millrace")

# Ray's sockets need a short path, and it reads its environment when it is imported: so these are set before any test.
RAY_FOLDER = Path("/tmp", f"millrace-ray-{os.getpid()}")
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(RAY_FOLDER / "token")}  # nobody's own token is touched
os.environ.pop("RAY_ADDRESS", None)
atexit.register(shutil.rmtree, RAY_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data files for trials, beside the checkout; no part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no trial data in {folder}")
    return folder


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """The address of a real S3 server on loopback; each module has its own."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new bucket."""
    environment = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex}"
    urlopen(Request(f"{s3_endpoint}/{name}", method="PUT")).close()
    return f"s3://{name}"


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


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For a Ray of a test's own, whose sockets need a short path."""
    made = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True)
class RunningRay:
    """A Ray that runs: where drivers connect, and where jobs are submitted."""

    address: str
    jobs: str


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RunningRay]:
    """One Ray for all tests: on loopback, with a token of its own, with three cores whatever the machine has."""
    RAY_FOLDER.mkdir(mode=0o700, exist_ok=True)
    output, token = RAY_FOLDER / "output", RAY_FOLDER / "token"
    if not token.exists():  # else a local Ray of another test was the first to need one
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    with socket.create_server(("127.0.0.1", 0)) as client, socket.create_server(("127.0.0.1", 0)) as agent:
        ports = [f"--ray-client-server-port={client.getsockname()[1]}", f"--dashboard-agent-listen-port={agent.getsockname()[1]}"]
    options = ["--num-cpus=3", "--port=0", "--dashboard-port=0", *ports, f"--temp-dir={RAY_FOLDER}"]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats", *options]
    environment = os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "NO_COLOR": "1"}  # the first means: on loopback
    with output.open("w") as file:
        head = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=RAY_FOLDER, env=environment, start_new_session=True)
    try:
        yield _when_up(head, output)
    finally:
        head.terminate()
        with suppress(subprocess.TimeoutExpired):  # it waits for half a minute where a gang has run
            head.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()


@pytest.fixture(scope="session")
def executor(ray_cluster: RunningRay) -> "Iterator[RayExecutor]":
    """This process connected to the Ray of all tests, to which it can be connected once."""
    from infra.ray_cluster import cluster
    from infra.ray_executor import RayExecutor

    with cluster(ray_cluster.address) as connected:
        assert isinstance(connected, RayExecutor)
        yield connected


def _when_up(head: "subprocess.Popen[bytes]", output: Path) -> RunningRay:
    address = RAY_FOLDER / "ray_current_cluster"
    until = time.monotonic() + 120
    while time.monotonic() < until and head.poll() is None:
        jobs = re.search(r"http://127\.0\.0\.1:\d+", output.read_text())
        if jobs and address.exists():
            return RunningRay(address.read_text().strip(), jobs[0])
        time.sleep(0.2)
    raise RuntimeError(f"no Ray came up: {output.read_text()}")
