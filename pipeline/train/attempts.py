"""How often a training was begun, and what was lost each time: steps that were done after the last checkpoint, and the time they took.

Each attempt leaves a small file below the step's folder, `work/attempts/TIME-ID.json`, which says where it began, how far it is, and
for how many seconds it has run. It is no truth: an attempt that ends without a word has run a little longer than its file says. The
files go when the step is done.
"""

import json
import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from pipeline.storage import Store

log = logging.getLogger(__name__)
NOTED_SECONDS = 5.0
"""How far an attempt is, is written at most so often, but for when there is something to be saved."""


@dataclass(frozen=True)
class Lost:
    """What restarts cost. An attempt's own time ends with what was last heard of it, up to five seconds before its end.

    The energy of what was lost is not known.
    """

    restarts: int
    steps_again: int
    """Steps that were done more than once."""
    restart_seconds: float
    """What all attempts took beside the steps that count: steps that were done again, and the loading of checkpoints."""


@dataclass(kw_only=True)
class Attempts:
    """The attempts of a run, seen from the first member of the present one."""

    store: Store
    folder: str
    """`ADDRESS/work/attempts`."""
    begun: float = field(default_factory=time.perf_counter)
    name: str = field(default_factory=lambda: f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}")
    first: int = 0
    """Steps that were done when it began."""
    seconds: float = 0.0
    """That it took until it was heard of last."""
    written_at: float = float("-inf")

    def begin(self, done: int) -> None:
        """Say that this attempt goes on from `done` steps."""
        self.first = done
        self.write(done)

    def note(self, done: int) -> None:
        """Say how far it is; that is written now and then."""
        self.seconds = time.perf_counter() - self.begun
        if time.perf_counter() - self.written_at >= NOTED_SECONDS:
            self.write(done)

    def lost(self, counted: float) -> Lost:
        """What was lost in all attempts of a run whose steps, each counted once, took `counted` seconds."""
        earlier = sorted(path for entry in self.store.list(self.folder) if not (path := entry.path).endswith(f"/{self.name}.json"))
        known = [found for path in earlier if (found := self._read(path)) is not None]
        if not known:
            return Lost(0, 0, 0.0)
        begins = [*(found["first"] for found in known[1:]), self.first]
        again = sum(max(0, found["done"] - begin) for found, begin in zip(known, begins, strict=False))
        seconds = sum(found["seconds"] for found in known) + self.seconds - counted
        return Lost(len(known), again, round(max(0.0, seconds), 3))

    def write(self, done: int) -> None:
        """Write how far it is."""
        self.written_at = time.perf_counter()
        self.seconds = self.written_at - self.begun
        words = {"first": self.first, "done": done, "seconds": round(self.seconds, 3)}
        try:
            self.store.put(f"{self.folder}/{self.name}.json", json.dumps(words).encode())
        except Exception as problem:  # a record that is no truth never ends a run
            log.debug("how far the training is cannot be written: %s", problem)

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self.store.get(path))
            return {name: found[name] + 0 for name in ("first", "done", "seconds")}
        except (FileNotFoundError, ValueError, KeyError, TypeError) as problem:
            log.debug("%s cannot be read: %s", path, problem)
            return None
