"""Saving while training goes on, and going on where a save fails.

A save begins in a step with a copy of the engine's state in host memory; a thread writes, checks and stores that copy meanwhile. At
the steps after that the members tell each other how far they are, and when all have stored their files the first one's thread writes
the manifest. So the collectives stay in the members' main threads, in the same order everywhere, and a checkpoint is whole or does
not exist, as ever. At most one save is under way: the next one waits for it, and so do the end of a run, going back, and an error.

A full disk or a store that does not answer costs a checkpoint, not the run: that is told of, and the next save tries again. A run
whose saves fail FAILURES times in a row stops.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline.errors import RunError
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.engine import Resumable
from pipeline.train.gang import gather
from pipeline.workflow.artifact import FileEntry

log = logging.getLogger(__name__)
FAILURES = 3
FAILED = "save_failed"
"""What the metrics say of a save that had begun before: why it failed."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in one member's part of a save."""

    problem: str


@dataclass
class Flight:
    """A save under way, in one member."""

    steps: int
    work: "Future[tuple[FileEntry, ...] | Failure]"
    """This member's part of it: storing its files; then, in the first one, writing the manifest."""
    stored: bool = False
    """Whether all members' files are stored."""


@dataclass
class Saves:
    """The saves of one run, in one member of its gang. Every member calls each method in the same steps, but for `__exit__` on an error."""

    checkpoints: Checkpoints
    flight: Flight | None = None
    failures: int = 0
    """Saves that failed since one did not."""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "millrace-save"))

    def begin(self, state: Resumable, steps: int, history: str) -> dict[str, Any]:
        """Keep the gang's state after `steps` steps; returns what is to be said of the save before. Raises RunError as `look` does."""
        told, write = self.finish(), state.copied()
        self.flight = Flight(steps, self.pool.submit(_tried, lambda: self.checkpoints.write(write, steps, history)))
        return told

    def look(self) -> dict[str, Any]:
        """See how far the save under way is, and take it further; returns what is to be said of it.

        Raises RunError where saves failed too often in a row.
        """
        if self.flight is None:
            return {}
        done = gather(self.checkpoints.member, self.flight.work.result() if self.flight.work.done() else None)
        parts = [part for part in done if isinstance(part, tuple)]
        failed = next((part for part in done if isinstance(part, Failure)), None)
        if None in done:
            return {}
        if failed is not None:
            return self._failed(self.flight.steps, failed)
        if self.flight.stored:
            self.flight, self.failures = None, 0
            self.checkpoints.member.saved()
        else:
            self.flight.stored, self.flight.work = True, self.pool.submit(_tried, self._commit(self.flight.steps, parts))
        return {}

    def finish(self) -> dict[str, Any]:
        """Wait for the save under way, if there is one; returns what is to be said of it. Raises RunError as `look` does."""
        told: dict[str, Any] = {}
        while self.flight is not None:
            wait([self.flight.work])
            told |= self.look()
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the save under way. A member of several that ends by an error cannot wait for the others: they may have ended, too."""
        try:
            if kind is None or self.checkpoints.member.size == 1:
                with suppress(RunError):  # it is told of, and nothing comes after it
                    self.finish()
        finally:
            self.pool.shutdown()

    def _commit(self, steps: int, parts: Sequence[tuple[FileEntry, ...]]) -> Callable[[], tuple[FileEntry, ...]]:
        def commit() -> tuple[FileEntry, ...]:
            if self.checkpoints.member.rank == 0:
                self.checkpoints.commit(steps, parts)
            return ()

        return commit

    def _failed(self, steps: int, failure: Failure) -> dict[str, Any]:
        self.flight, self.failures = None, self.failures + 1
        if self.checkpoints.member.rank == 0:
            log.warning("the checkpoint of %d steps could not be saved and the next one is tried: %s", steps, failure.problem)
            self.checkpoints.discard(steps)
        if self.failures < FAILURES:
            return {FAILED: failure.problem}
        raise RunError(
            f"{FAILURES} saves in a row failed, the last one after step {steps} ({failure.problem}): see that {self.checkpoints.store.url}"
            f" can be reached and that there is room in it and in {tempfile.gettempdir()}; then the same command goes on from the newest"
            " checkpoint"
        )


def _tried(work: Callable[[], tuple[FileEntry, ...]]) -> tuple[FileEntry, ...] | Failure:
    """What comes of some work, or how it failed: by a full disk, or by a store that does not answer."""
    try:
        return work()
    except (OSError, RunError) as problem:
        return Failure(str(problem) or type(problem).__name__)
