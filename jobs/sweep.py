"""Steps that need nothing of each other, several at a time: each in a process of its own, over the same root.

Nothing is shared but the root, in which what is built already counts and two that build the same end in the same bytes. So a sweep
can be ended anywhere, and the same command goes on from there.

A sweep gives way to other work. Ray has no priorities, so it is done from outside: no run is begun while anybody's work waits for a place
on the cluster, and all processes of a sweep, on every node, have the least priority of their operating system. What runs is not ended.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from infra.ray_cluster import running_at, starts_own
from infra.room import waits_for_room
from infra.worker import Answer, answered, be_nice, threads
from jobs.command import Options
from jobs.launch import carry_out
from pipeline.errors import RequestError, RunError
from pipeline.storage import open_store
from pipeline.workflow.plan import plan
from pipeline.workflow.step import Step

log = logging.getLogger(__name__)
ENDING_SECONDS = 30.0
LOOK_SECONDS = 5.0
"""Between looks whether others still wait for room."""
NICENESS = 19


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


def ahead(job: str, shared: Sequence[Step[Any]], waves: Iterable[Sequence[Step[Any]]], options: Options, at_once: int) -> list[str]:
    """Build what targets share, and then wave after wave of them, several at a time; returns the addresses of all that was not there."""
    store, told = open_store(options.root), [list(wave) for wave in waves]
    missing = [
        decision.step.address for decision in plan([step for wave in told for step in wave], store, options.rebuild) if decision.build
    ]
    carry_out(job, shared, options)
    for wave in told:
        for _ in sweep(job, [step for step in wave if step.address in missing], options, at_once):
            pass
    return missing


def sweep(job: str, targets: Sequence[Step[Any]], options: Options, at_once: int) -> Iterator[Step[Any]]:
    """Build the targets, `at_once` of them at a time and the first ones first; yields each when it is done.

    Raises what the first to fail raised, and ends the others. A cluster that is there already has its own cores to share out.
    """
    cores = max(1, (options.workers or os.cpu_count() or 1) // at_once)
    own = replace(options, workers=cores) if starts_own(options.cluster) else options
    address, held = running_at(options.cluster), False
    waiting, running = list(reversed(targets)), list[Child]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once and not (held := _gives_way(address, held)):
                running.append(_started(job, waiting.pop(), own, cores))
            ended = wait([child.mouth for child in running], LOOK_SECONDS if held else None)
            for child in [child for child in running if child.mouth in ended]:
                child.open()
                running.remove(child)
                yield child.target
    finally:
        for child in running:
            child.end()


def _gives_way(address: str | None, before: bool) -> bool:
    """Whether the next run is not to begin yet; on a Ray of its own, or none, it is."""
    now = address is not None and waits_for_room(address)
    if now and not before:
        log.warning("other work waits for room on the cluster: the next run begins when it has its place")
    return now


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
    be_nice(NICENESS)
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
