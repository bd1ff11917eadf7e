"""Programs of strangers, run where they can do no harm: what a model wrote is executed here and nowhere else.

A program runs as nobody, in a process of its own that sees no network (not even the loopback), no process but its own, and of all files
the interpreter and the system's libraries, read-only. It may write into one empty folder, which is in memory and bounded; its environment
is empty but for a few names; its memory, time, processes, files and output are bounded; and when it ends, or its time does, or ours,
everything that it has started is killed.

This needs Linux 5.12 or later that lets the user make user namespaces. Where that is not so (other systems, many containers), programs are
refused: there is no way to run them with less. What it does not keep out: flaws of the kernel itself, whose namespaces it trusts, and a
program that forges the sign of having come to its end, by searching the memory of its own process for it.
"""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal

from pipeline.errors import RequestError, RunError
from pipeline.evaluate import jail

Ended = Literal["passed", "failed", "time", "output"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may take."""

    seconds: float = 20.0
    """By the clock on the wall."""
    cpu_seconds: int = 10
    """Of each process."""
    memory_bytes: int = 512 << 20
    """Of each process, as addresses."""
    processes: int = 8
    """Processes and threads at a time."""
    files: int = 64
    """Open files of a process."""
    folder_bytes: int = 16 << 20
    """Of all files that are written together."""
    output_bytes: int = 1 << 16
    """On standard output and standard error together."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise RequestError(f"{name} of a sandbox is {value}: use more than 0")


@dataclass(frozen=True)
class Outcome:
    """How a program ended: it came to its end, it failed, or it took too much time or output; and what it wrote."""

    ended: Ended
    output: str


def run_program(program: str, limits: Limits) -> Outcome:
    """Run a Python program; it passes if it comes to its end without an exception.

    The standard library is all that it can import. Raises RequestError where it cannot be shut in.
    """
    sign = secrets.token_hex(16)
    heard, said = os.pipe()
    with tempfile.TemporaryDirectory(prefix="millrace-") as root, tempfile.TemporaryFile() as source, open(heard, "rb") as trouble:
        source.write(f"{sign}\n{program}".encode("utf-8", "replace"))
        source.seek(0)
        command = [sys.executable, "-I", "-S", "-B", jail.__file__, json.dumps(asdict(limits)), root, str(said)]
        try:
            child = subprocess.Popen(  # noqa: S603 - it is what shuts programs in
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}, start_new_session=True, pass_fds=(said,)
            )
        finally:
            os.close(said)
        ended, output = _watched(child, limits)
        if problem := trouble.read():
            raise RequestError(
                f"a program cannot be shut in on this machine ({problem.decode(errors='replace')}): run it on Linux 5.12 or later, where"
                " users may make user namespaces (unshare --user --net --mount --pid), in a container only if it allows that"
            )
    came_to_its_end = ended == "passed" and output.endswith(sign.encode())
    text = output.removesuffix(sign.encode()).decode("utf-8", "replace")
    return Outcome("failed" if ended == "passed" and not came_to_its_end else ended, text)


def _watched(child: "subprocess.Popen[bytes]", limits: Limits) -> tuple[Ended, bytes]:
    """How a process ended, and its output; when this returns, it and all that it started are killed."""
    assert child.stdout is not None
    end, output = time.monotonic() + limits.seconds, b""
    try:
        while select.select([child.stdout], [], [], max(0, end - time.monotonic()))[0]:
            data = os.read(child.stdout.fileno(), 1 << 16)
            output += data
            if len(output) > limits.output_bytes:
                return "output", output[: limits.output_bytes]
            if not data:
                return ("passed" if child.wait(max(0, end - time.monotonic())) == 0 else "failed"), output
        return "time", output
    except subprocess.TimeoutExpired:
        return "time", output
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()


@cache
def require_sandbox() -> None:
    """Raise RequestError where programs cannot be shut in, and RunError where they do not run there."""
    if not sys.platform.startswith("linux"):
        raise RequestError(f"programs are run on Linux only, and this is {sys.platform}: evaluate code on a Linux machine")
    outcome = run_program("pass", Limits())
    if outcome.ended != "passed":
        raise RunError(f"the sandbox does not run a program that does nothing ({outcome.ended}: {outcome.output[-200:]!r})")
