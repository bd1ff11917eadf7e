"""Steps that need nothing of each other, several at a time: each in a process of its own, over the same root.

Nothing is shared but the root, in which what is built already counts and two that build the same end in the same bytes. So a sweep
can be ended anywhere, and the same command goes on from there.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from infra.worker import Answer, answered, threads
from jobs.command import Options
from jobs.launch import carry_out
from pipeline.errors import RequestError, RunError
from pipeline.workflow.step import Step

ENDING_SECONDS = 30.0


@dataclass(frozen=True)
class Child:
    """A process that builds a target, and where it says what came of it."""

    target: Step[Any]
    process: Any
    mouth: Connection

    def open(self) -> None:
        """Raise what the process raised."""
        try:
            answer: Answer = self.mouth.recv()
        except EOFError:
            self.process.join()
            raise RunError(
                f"the process that was to build {self.target.address} ended with {self.process.exitcode} and without a word:"
                " if memory ran out, use a smaller --at-once; the same command goes on from here"
            ) from None
        self.process.join()
        answer.open()

    def end(self) -> None:
        """End the process, if it goes on, and all that it has started."""
        self.process.terminate()
        self.process.join(ENDING_SECONDS)
        self.process.kill()


def check_at_once(at_once: int) -> None:
    """Raise RequestError for a number of processes that is none."""
    if at_once < 1:
        raise RequestError(f"--at-once is {at_once}: use 1 or more")


def sweep(job: str, targets: Sequence[Step[Any]], options: Options, at_once: int) -> Iterator[Step[Any]]:
    """Build the targets, `at_once` of them at a time and the first ones first; yields each when it is done.

    Raises what the first to fail raised, and ends the others. A cluster that is there already has its own cores to share out.
    """
    cores = max(1, (options.workers or os.cpu_count() or 1) // at_once)
    own = replace(options, workers=cores) if options.cluster == "local" else options
    waiting, running = list(reversed(targets)), list[Child]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_started(job, waiting.pop(), own, cores))
            ended = wait([child.mouth for child in running])
            for child in [child for child in running if child.mouth in ended]:
                child.open()
                running.remove(child)
                yield child.target
    finally:
        for child in running:
            child.end()


def _started(job: str, target: Step[Any], options: Options, cores: int) -> Child:
    """A new process: it has nothing of this one's threads, nor of its random generators."""
    context = get_context("spawn")
    mouth, said = context.Pipe(duplex=False)
    process = context.Process(target=_build, args=(said, job, target, options, cores), name=f"sweep {target.address}")
    process.start()
    said.close()
    return Child(target, process, mouth)


def _build(said: Connection, job: str, target: Step[Any], options: Options, cores: int) -> None:
    os.environ |= threads(cores)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver hears it, and ends this process
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, args=(os.getpid(),), name="parent", daemon=True).start()
    said.send(answered(lambda: _built(job, target, options)))


def _built(job: str, target: Step[Any], options: Options) -> None:
    carry_out(job, [target], options)


def _interrupt(*_: object) -> None:
    raise SystemExit(1)


def _end_with_parent(process: int) -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(process, signal.SIGTERM)
