"""A lease in a root, so that one run of a kind goes on at a time. Where it should fail, work is wasted, and nothing is harmed."""

import json
import os
import socket
import threading
import uuid
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pipeline.errors import RunError
from pipeline.storage import Store
from pipeline.workflow.artifact import as_utf8
from pipeline.workflow.journal import words_of

BEAT_SECONDS, SILENT_SECONDS = 15.0, 90.0


class Lease:
    """Held inside a `with`; raises RunError where another process holds it and has been heard of lately."""

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path = store, path
        self._holder = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": _now().isoformat(timespec="seconds"),
            "mark": uuid.uuid4().hex,
        }
        self._ended = threading.Event()

    def __enter__(self) -> None:
        if not self._store.put_new(self._path, self._words()):
            self._take_over()
        threading.Thread(target=self._beat, name="lease", daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        if self._is_mine():
            self._store.delete(self._path)

    def _take_over(self) -> None:
        """Take the place of a holder that has fallen silent."""
        holder = self._found()
        try:
            silent = (_now() - datetime.fromisoformat(holder["heard"])).total_seconds()
        except (ValueError, KeyError, TypeError):
            silent = SILENT_SECONDS
        if silent < SILENT_SECONDS:
            raise RunError(
                f"the same corpus is being changed by process {holder.get('process')} on {holder.get('host')} since {holder.get('since')}:"
                f" wait until it is done; if it is dead, its claim ends {words_of(SILENT_SECONDS - silent)} from now"
            )
        self._store.put(self._path, self._words())

    def _beat(self) -> None:
        """Be heard of, until the end or until another has taken this one's place."""
        while not self._ended.wait(BEAT_SECONDS) and self._is_mine():
            self._store.put(self._path, self._words())

    def _is_mine(self) -> bool:
        return self._found().get("mark") == self._holder["mark"]

    def _found(self) -> dict[str, Any]:
        """What the lease says now; nothing where it cannot be read."""
        try:
            holder = json.loads(self._store.get(self._path))
        except (FileNotFoundError, ValueError):
            return {}
        return holder if isinstance(holder, dict) else {}

    def _words(self) -> bytes:
        words: dict[str, Any] = {**self._holder, "heard": _now().isoformat(timespec="seconds")}
        return as_utf8(json.dumps(words))


def _now() -> datetime:
    return datetime.now(UTC)
