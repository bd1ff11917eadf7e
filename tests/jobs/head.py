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
def ray_node(head: Head, folder: Path, address: str, cores: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Join a node to a head, at a loopback address of its own, and stop it with all its processes."""
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", f"--address={head.address}", "--block", f"--node-ip-address={address}", f"--num-cpus={cores}"]
    command += ["--object-store-memory=80000000", "--disable-usage-stats"]
    environment = {**head.environment, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}  # which loopback looks like
    with open(folder / f"{address}.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_started(process, folder / f"{address}.log")
        yield process
    finally:
        kill_session(process)
        process.wait(30)


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """As when a machine loses its power: nobody is told."""
    for pid in _session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def ray_head(folder: Path, cores: int, address: str = "127.0.0.1") -> Iterator[Head]:
    """Start a head and stop it with all its processes. Where other nodes are to join it, its address must be another of loopback's:
    Ray takes 127.0.0.1 for the address that others know this machine by."""
    port, dashboard, agent = free_port(), free_port(), free_port()
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("RAY_")}, **mine}
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", "--head", "--block", f"--node-ip-address={address}", f"--port={port}", f"--num-cpus={cores}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += ["--object-store-memory=200000000", "--disable-usage-stats", f"--temp-dir={folder}"]
    with open(folder / "head.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_started(process, folder / "head.log")
        _wait_for_jobs(process, dashboard)
        yield Head(f"{address}:{port}", f"http://127.0.0.1:{dashboard}", environment, os.getsid(process.pid))
    finally:
        kill_session(process)
        process.wait(30)


def wait_until_started(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until `ray start` says that it has started."""
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while b"Ray runtime started" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)


def _wait_for_jobs(process: "subprocess.Popen[bytes]", dashboard: int) -> None:
    """Until the head takes jobs."""
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", dashboard)) == 0:
                return
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.2)
