"""Machines of their own, as far as the network goes: namespaces that a bridge joins, each with one interface and one address.

Names have the number of the process that made them, so that what a killed one left is found, and removed, by the next.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.jobs.head import kill_session, wait_until_started

PREFIX, LINKS, SUBNET, PORT = "millrace-", "mr", "10.213.77", 6379
TURNS = itertools.count()
INTERFACE = "eth0"


class NotPermittedError(Exception):
    """Namespaces cannot be made here, and why."""


@dataclass(frozen=True)
class Machine:
    """A namespace."""

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """A command as it is run there."""
        return ["ip", "netns", "exec", self.name, *words]

    def processes(self) -> list[int]:
        return [int(word) for word in _ip("netns", "pids", self.name).split()]

    def names(self) -> list[str]:
        """What its processes call themselves."""
        found = []
        for process in self.processes():
            with suppress(OSError):
                found.append(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many, which reach each other and nothing else. Raises NotPermittedError where that cannot be had."""
    bridge, turn = f"{LINKS}{os.getpid()}", next(TURNS)
    made = [Machine(f"{PREFIX}{os.getpid()}-{turn}-{number}", f"{SUBNET}.{number + 1}") for number in range(count)]
    try:
        _clear()
        _ip("link", "add", bridge, "type", "bridge")
        _ip("link", "set", bridge, "up")
        for number, machine in enumerate(made):
            _join(machine, bridge, f"{bridge}.{number}")
        yield made
    finally:
        for machine in made:
            _remove(machine)
        _remove_links(os.getpid())


def _join(machine: Machine, bridge: str, cable: str) -> None:
    """Make a namespace, and a cable from it to the bridge."""
    _ip("netns", "add", machine.name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", INTERFACE, "netns", machine.name)
    _ip("link", "set", cable, "master", bridge, "up")
    _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", INTERFACE)
    for interface in ("lo", INTERFACE):
        _ip("-n", machine.name, "link", "set", interface, "up")
    _ip("-n", machine.name, "route", "add", "default", "dev", INTERFACE)  # by which Ray finds the machine's own address


def _remove(machine: Machine) -> None:
    """End what runs in a namespace, and remove it."""
    with suppress(NotPermittedError):
        for process in machine.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _ip("netns", "del", machine.name)


def _remove_links(maker: int) -> None:
    """Remove the bridge and the cables of a process; a namespace that is removed keeps its own for a moment."""
    with suppress(NotPermittedError):
        links = [line.split(": ")[1].partition("@")[0] for line in _ip("-o", "link").splitlines()]
        for link in links:
            if link.partition(".")[0] == f"{LINKS}{maker}":
                _ip("link", "del", link)


def _clear() -> None:
    """Remove what processes have left that are no more."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0]
        maker = name.removeprefix(PREFIX).split("-")[0]
        if name.startswith(PREFIX) and maker.isdecimal() and not Path(f"/proc/{maker}").exists():
            _remove(Machine(name, ""))
            _remove_links(int(maker))


def _ip(*words: str) -> str:
    try:
        return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
    except OSError as problem:
        raise NotPermittedError(str(problem)) from problem
    except subprocess.CalledProcessError as problem:
        raise NotPermittedError(f"ip {' '.join(words)}: {problem.stderr.strip()}") from problem


@contextmanager
def cluster_on(head: Machine, nodes: list[Machine], environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """A Ray with a head without cores and nodes of one, which ask for the token in `environment`; its address."""
    address = f"{head.address}:{PORT}"
    with ExitStack() as stack:
        options = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}"]
        stack.enter_context(_ray(head, environment, folder, *options))
        for node in nodes:
            stack.enter_context(_ray(node, environment, folder, f"--address={address}", "--num-cpus=1"))
        yield address


@contextmanager
def _ray(machine: Machine, environment: Mapping[str, str], folder: Path, *options: str) -> Iterator[None]:
    """`ray start` in a namespace, and all its processes stopped at the end."""
    common = [f"--node-ip-address={machine.address}", "--block", "--object-store-memory=80000000", "--disable-usage-stats"]
    command = machine.command(str(Path(sys.executable).with_name("ray")), "start", *common, *options)
    said = folder / f"{machine.name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_started(process, said)
        yield
    finally:
        kill_session(process)
        process.wait(30)
