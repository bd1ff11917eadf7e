"""A running Ray head, as `ray start --head` makes it: on loopback, with a token, on ports of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

STARTS_WITHIN_SECONDS = 120


@dataclass(frozen=True)
class Head:
    """Where a head answers, and the environment of those who may ask it."""

    address: str
    jobs: str
    environment: Mapping[str, str]
    session: int

    def workers(self) -> list[int]:
        """The processes of the head's session that do units of work, now."""
        found = []
        for pid in _session(self.session):
            with suppress(ProcessLookupError, FileNotFoundError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if words.startswith(b"ray::") and b"IDLE" not in words and b"Agent" not in words:
                    found.append(pid)
        return found


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(ProcessLookupError, PermissionError):
            if folder.name.isdecimal() and os.getsid(int(folder.name)) == leader:
                found.append(int(folder.name))
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def ray_head(folder: Path, cores: int) -> Iterator[Head]:
    """Start a head and stop it with all its processes."""
    port, dashboard, agent = free_port(), free_port(), free_port()
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("RAY_")}, **mine}
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cores}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += ["--object-store-memory=200000000", "--disable-usage-stats", f"--temp-dir={folder}"]
    with open(folder / "head.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(process, folder / "head.log", dashboard)
        yield Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment, os.getsid(process.pid))
    finally:
        for pid in _session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", log: Path, dashboard: int) -> None:
    """Until the head takes jobs."""
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if b"Ray runtime started" in log.read_bytes() and probe.connect_ex(("127.0.0.1", dashboard)) == 0:
                return
        time.sleep(0.3)
    raise AssertionError(f"Ray did not start: {log.read_text()}")
