"""Text of web pages by a process of its own: a page can make its reader hang, fill the memory or crash.

One child reads many pages; what ends it costs one page. A page is found to be too much only by a child that has
read no other: so what is said of a page depends on that page alone.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import RunError
from pipeline.sources.extraction import child
from pipeline.sources.extraction.child import FAILED, MEMORY
from pipeline.sources.extraction.extractors import ExtractorName
from pipeline.sources.extraction.page import PAGE_BYTES, TOO_LARGE

TIMEOUT = "extraction-timeout"
CPU_SECONDS = 5.0
"""What a page may take of the processor; the slowest of 530 real pages takes trafilatura 0.2 s."""
MEMORY_BYTES = 1 << 30
"""What the child may take of memory, half of it in earnest."""
ENDS: dict[int, str] = {
    **dict.fromkeys((signal.SIGPROF, signal.SIGALRM), TIMEOUT),
    signal.SIGABRT: MEMORY,  # how Rust ends where it gets no memory
    **dict.fromkeys((signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL), FAILED),
}
"""What it means when the child ends by a signal; other ends have other causes than the page."""
PROJECT = str(Path(__file__).resolve().parents[3])


class Page(NamedTuple):
    """The main text of a page, and what it says about itself."""

    text: str
    fields: dict[str, str]


class Extractor:
    """Makes text of pages. Starts its child with the first page; `close` ends it."""

    def __init__(self, name: ExtractorName = "resiliparse") -> None:
        self._name = name
        self._child: subprocess.Popen[bytes] | None = None

    def page(self, data: bytes, charset: str | None = None) -> Page | str:
        """A page from its bytes and the charset that came with it; the reason where it has no text."""
        if len(data) > PAGE_BYTES:
            return TOO_LARGE
        fresh = self._child is None
        answer = self._ask(data, charset)
        if answer.get("reason") in (TIMEOUT, FAILED, MEMORY):
            self.close()
            if not fresh:
                return self.page(data, charset)
        return answer["reason"] if "reason" in answer else Page(answer["text"], answer["fields"])

    def _ask(self, data: bytes, charset: str | None) -> dict[str, Any]:
        running = self._child = self._child or self._start()
        assert running.stdin is not None
        assert running.stdout is not None
        with suppress(BrokenPipeError):
            running.stdin.write(json.dumps({"bytes": len(data), "charset": charset}).encode() + b"\n")
            running.stdin.write(data)
            running.stdin.flush()
        line = running.stdout.readline()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self.close()
        if reason := ENDS.get(-code):
            return {"reason": reason}
        raise RunError(f"the process that was to read a page ended with code {code}; run the same command again")

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", child.__name__, self._name, str(CPU_SECONDS), str(MEMORY_BYTES)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (PROJECT, os.environ.get("PYTHONPATH"))))}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)  # noqa: S603

    def close(self) -> int:
        """End the child, if there is one; the code that it ended with."""
        if self._child is None:
            return 0
        running, self._child = self._child, None
        with suppress(BrokenPipeError):
            running.communicate()
        return running.wait()
