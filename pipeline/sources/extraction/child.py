"""The process that reads pages for `extractor.py`: a page after the other, with a bound on time for each and on memory.

The system's timers end it: nothing in this process, whatever it is busy with, has to look at a clock. Time is
that of the processor, so that a busy machine finds no other pages too slow than an idle one. Memory counts as used
up from half of the bound on: parsers that get no more give up in ways of their own, and some without a word.
"""

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from pipeline.sources.extraction.extractors import extractor
from pipeline.sources.extraction.page import read_page

FAILED, MEMORY = "extraction-failed", "extraction-memory"
PATIENCE = 20
"""How many times longer a page may take by the clock on the wall."""


def answer(data: bytes, charset: str | None, extract: Callable[[str, Any], str]) -> dict[str, Any]:
    """What `read_page` says of a page, or why it did not get to the end."""
    try:
        return read_page(data, charset, extract)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic of Rust is no Exception
        return {"reason": FAILED}


def _allow(seconds: float) -> None:
    """Let this process run for so long from now; 0 lets it wait for as long as it takes."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)


def _bound_memory(most: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        return


def _peak() -> int:
    """The most memory that this process has had at a time, in bytes; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", "rb") as status:
            return next((int(line.split()[1]) << 10 for line in status if line.startswith(b"VmHWM")), 0)
    except OSError:
        return 0


def main() -> None:
    """Answer each question on standard input, a line of JSON and the page's bytes, with a line of JSON."""
    name, seconds, memory = sys.argv[1:]
    _bound_memory(int(memory))
    extract = extractor(name)
    for line in sys.stdin.buffer:
        question = json.loads(line)
        data = sys.stdin.buffer.read(question["bytes"])
        _allow(float(seconds))
        said = answer(data, question["charset"], extract)
        _allow(0)
        if _peak() > int(memory) // 2:
            said = {"reason": MEMORY}
        line = json.dumps(said).encode()
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
