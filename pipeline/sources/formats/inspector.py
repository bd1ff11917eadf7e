"""Look through Arrow and Parquet files in a process of its own, before this process maps them into memory.

A forged file can end the process that reads it, or ask for all the memory there is. So a child reads it first,
from front to back, with everything validated and what comes out bounded; if the child dies, the file is
damaged, and this process goes on. One child serves many files.
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from pipeline.errors import RunError
from pipeline.sources.formats import columnar
from pipeline.sources.formats.streams import DAMAGED, byte_limit

CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
"""How a process ends that reads a forged file; other ends have other causes."""


class Inspector:
    """Answers whether files can be read. Starts its child with the first question; `close` ends it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def fault(self, path: Path, kind: str) -> str | None:
        """Why a "parquet" or "arrow" file cannot be read; None where it can."""
        child = self._child = self._child or _start()
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps([str(path), kind, byte_limit(path)]) + "\n")
            child.stdin.flush()
        answer = child.stdout.readline()
        if answer:
            fault: str | None = json.loads(answer)
            return fault
        code = self.close()
        if -code in CRASHES:
            return DAMAGED
        raise RunError(f"the process that was to look through {path} ended with code {code}; run the same command again")

    def close(self) -> int:
        """End the child, if there is one; the code that it ended with."""
        if self._child is None:
            return 0
        child, self._child = self._child, None
        with suppress(BrokenPipeError):
            child.communicate()
        return child.wait()


def _start() -> "subprocess.Popen[str]":
    # -P: the modules of that folder are not to be found as top-level ones
    command = [sys.executable, "-P", columnar.__file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
