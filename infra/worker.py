"""What surrounds our code in a worker process: it finds the driver's folder and modules, and it answers in data.

Ray imports nothing of this project by itself: a worker of a running cluster knows neither the folder that
relative paths are meant from, nor where our modules are. So one function travels by value (`arrival`),
puts the driver's surroundings in force, and only then opens the payload. Errors come back as values,
so that the error which a step raised is the error that the driver sees; and so do warnings.
"""

import logging
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.errors import MillraceError, RunError

SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")


def threads(count: int) -> dict[str, str]:
    """The environment in which libraries start `count` threads."""
    return dict.fromkeys(SINGLE, str(count)) | {"TOKENIZERS_PARALLELISM": "true" if count > 1 else "false"}


@dataclass(frozen=True)
class Word:
    """A warning that was logged in a worker, to be logged again by the driver."""

    logger: str
    level: int
    message: str


@dataclass(frozen=True)
class Answer:
    """What came of a piece of work: its value or its error, and the warnings on the way."""

    value: Any = None
    error: Exception | None = None
    words: tuple[Word, ...] = ()

    def open(self) -> Any:
        """Log the warnings here, and return the value or raise the error."""
        for word in self.words:
            logging.getLogger(word.logger).log(word.level, word.message)
        if self.error is not None:
            raise self.error
        return self.value


class Ear(logging.Handler):
    """Passes on what is logged as a warning or worse."""

    def __init__(self, hear: Callable[[Word], Any]) -> None:
        super().__init__(logging.WARNING)
        self.hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(Word(record.name, record.levelno, record.getMessage()))

    def __enter__(self) -> "Ear":
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def arrival() -> Callable[[Mapping[str, Any], bytes], bytes]:
    """The function that runs in a worker: `arrive(surroundings(), packed(function, …))` returns the function's pickled result.

    It is made anew so that it travels by value; what it needs it imports itself.
    """

    def arrive(surroundings: Mapping[str, Any], payload: bytes) -> bytes:
        import os
        import pickle
        import sys

        os.environ.update(surroundings["environment"])
        if os.path.isdir(surroundings["folder"]):
            os.chdir(surroundings["folder"])
        sys.path[:] = [*surroundings["path"], *(place for place in sys.path if place not in surroundings["path"])]
        from infra.worker import be_nice

        be_nice(surroundings["niceness"])
        function, arguments = pickle.loads(payload)  # noqa: S301 - from the driver
        return pickle.dumps(function(*arguments))

    return arrive


def be_nice(niceness: int) -> None:
    """Give all threads of this process a niceness of at least so much. On Linux each has its own, and new ones have their maker's."""
    threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["0"]
    for thread in map(int, threads):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            if os.getpriority(os.PRIO_PROCESS, thread) < niceness:
                os.setpriority(os.PRIO_PROCESS, thread, niceness)


def surroundings(environment: Mapping[str, str]) -> dict[str, Any]:
    """The folder, the module path and the niceness of this process, and environment variables for the worker."""
    return {
        "folder": os.getcwd(),
        "path": [os.path.abspath(place) for place in sys.path],
        "environment": dict(environment),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
    }


def packed(function: Callable[..., Any], *arguments: Any) -> bytes:
    """A call as bytes; classes and functions of the script itself go along by value."""
    from ray import cloudpickle

    return bytes(cloudpickle.dumps((function, arguments)))


def answered(work: Callable[[], Any]) -> Answer:
    """Do the work and put what comes of it into an answer that can be pickled."""
    words: list[Word] = []
    with Ear(words.append):
        try:
            return Answer(work(), None, tuple(words))
        except Exception as problem:
            return Answer(None, portable(problem), tuple(words))


def portable(problem: Exception) -> Exception:
    """The error itself, or a RunError in its place where it cannot be pickled; with its trace as a note, where it is not one of ours."""
    if isinstance(problem, MillraceError):
        return problem
    try:
        again: Exception = pickle.loads(pickle.dumps(problem))  # noqa: S301 - bytes made one call earlier
    except Exception:
        again = RunError(f"{type(problem).__name__}: {' '.join(str(problem).split())}")
    again.add_note("In a worker:\n" + "".join(traceback.format_exception(problem)))
    return again
