"""What a run is doing, kept beside its artifacts: `journal/RUN.json`, so that anyone can ask with no cluster up.

A journal is no truth: what is built, manifests say. It tells what manifests cannot: what is running and how
far, what failed and why, and what stopped without a word, which is seen by its heartbeat. It holds no
arguments and no environment. A run that builds nothing leaves none.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pipeline.errors import Damaged
from pipeline.storage import Store
from pipeline.workflow.artifact import as_utf8, manifest_path, read_manifest
from pipeline.workflow.events import Advanced, Built, Event, Failed, Planned, Reported, Skipped, Started

log = logging.getLogger(__name__)
FOLDER = "journal"
WRITE_SECONDS = 1.0
"""A journal is written at most so often, but for the ends of steps."""
BEAT_SECONDS = 5.0
SILENT_SECONDS = 30.0
"""A run whose heartbeat is older is taken for interrupted."""
JOURNALS_READ = 50
ERROR_CHARACTERS = 300
GOES_ON = "the same command goes on from the last unit or checkpoint"


class Journal:
    """A listener that keeps the journal of one run. While a step is built, a thread of its own keeps the heart beating."""

    def __init__(self, store: Store, job: str) -> None:
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        self._store = store
        self._head = {"run": self.run, "job": job, "started": _now()}
        self._steps: dict[str, dict[str, Any]] = {}
        self._changed = False
        self._state, self._writing = threading.Lock(), threading.Lock()
        self._step_ended = threading.Event()

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.run}.json"

    def __call__(self, event: Event) -> None:
        with self._state:
            self._steps.setdefault(event.step.address, {}).update(_noted(event))
            self._changed = True
        if isinstance(event, Started):
            self._step_ended = threading.Event()
            threading.Thread(target=self._beat, args=(self._step_ended,), name="journal", daemon=True).start()
        elif isinstance(event, Built | Failed):
            self._step_ended.set()
        if isinstance(event, Started | Built | Failed):
            self._write()

    def _beat(self, ended: threading.Event) -> None:
        """Write what has changed, and the heartbeat, until the step ends."""
        written, failing = time.monotonic(), False
        while not ended.wait(WRITE_SECONDS):
            if self._changed or time.monotonic() - written >= BEAT_SECONDS:
                written = time.monotonic()
                try:
                    self._write()
                except Exception as problem:
                    log.log(logging.DEBUG if failing else logging.WARNING, "the journal cannot be written: %s", problem)
                    failing = True

    def _write(self) -> None:
        with self._writing:  # the last to write writes the newest state
            with self._state:
                self._changed = False
                text = json.dumps({**self._head, "heartbeat": _now(), "steps": self._steps}, indent=1, ensure_ascii=False, default=str)
            self._store.put(self.path, as_utf8(text))


def _noted(event: Event) -> dict[str, Any]:
    """What an event changes in a journal's entry of its step."""
    match event:
        case Planned(build=build, reason=reason):
            return {"state": "planned" if build else "kept", "reason": reason}
        case Started():
            return {"state": "running", "since": _now()}
        case Advanced(phase=phase, done=done, total=total):
            return {"phase": phase, "done": done, "total": total}
        case Reported(metrics=metrics):
            return {"metrics": dict(metrics)}
        case Built(seconds=seconds):
            return {"state": "built", "seconds": round(seconds, 3)}
        case Skipped():
            return {"state": "kept"}
        case Failed(error=error):
            state = "failed" if isinstance(error, Exception) else "stopped"  # by ctrl-C, or the end of the process
            return {"state": state, "error": _one_line(error), "ended": _now()}


def _one_line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:ERROR_CHARACTERS] if words else type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


State = Literal["built", "running", "waiting", "failed", "interrupted"]


@dataclass(frozen=True)
class Status:
    """What is known of one step: `detail` says how far, why, or since when, in words for people."""

    address: str
    state: State
    detail: str
    at: str
    """When it was built, failed or was heard of last, in ISO 8601."""
    job: str = ""
    run: str = ""


def statuses(store: Store, now: datetime | None = None) -> list[Status]:
    """Every step that a root knows of, in the order in which they were heard of. Reads journals and manifests alone."""
    known: dict[str, Status] = {}
    for journal in _journals(store):
        for address, entry in journal["steps"].items():
            status = _status(address, entry, journal, now or datetime.now(UTC))
            if status is not None:
                known[address] = status
    return sorted((known | _built(store)).values(), key=lambda status: (status.at, status.address))


def _journals(store: Store) -> Iterator[dict[str, Any]]:
    """The latest journals, oldest first; their names begin with the time."""
    paths = sorted(entry.path for entry in store.list(FOLDER))[-JOURNALS_READ:]
    for path in paths:
        try:
            yield json.loads(store.get(path))
        except (ValueError, FileNotFoundError) as problem:
            log.warning("%s cannot be read: %s", path, problem)


def _built(store: Store) -> dict[str, Status]:
    known = {}
    for entry in store.list(""):
        address = entry.path.removesuffix("/manifest.json")
        if entry.path == manifest_path(address) and address.count("/") == 1:
            known[address] = _manifested(store, address)
    return known


def _manifested(store: Store, address: str) -> Status:
    try:
        manifest = read_manifest(store, address)
    except Damaged as problem:
        return Status(address, "failed", str(problem), "")
    provenance = manifest.provenance if manifest else {}
    return Status(address, "built", f"in {words_of(provenance.get('seconds', 0.0))}", provenance.get("started", ""))


def _status(address: str, entry: Mapping[str, Any], journal: Mapping[str, Any], now: datetime) -> Status | None:
    """What a journal says of a step; None where only a manifest could say it."""
    job, run, heard = journal["job"], journal["run"], journal["heartbeat"]
    silent = (now - datetime.fromisoformat(heard)).total_seconds()
    match entry.get("state"):
        case "failed":
            return Status(address, "failed", entry["error"], entry["ended"], job, run)
        case "stopped":
            return Status(address, "interrupted", f"stopped at {_progress(entry)}: {GOES_ON}", entry["ended"], job, run)
        case "running" if silent > SILENT_SECONDS:
            detail = f"not heard of for {words_of(silent)}, at {_progress(entry)}: {GOES_ON}"
            return Status(address, "interrupted", detail, heard, job, run)
        case "running":
            return Status(address, "running", _progress(entry), heard, job, run)
        case "planned" if silent <= SILENT_SECONDS and not _ended(journal):
            return Status(address, "waiting", entry["reason"], heard, job, run)
    return None


def _ended(journal: Mapping[str, Any]) -> bool:
    """Whether a run has ended without building all that it had planned."""
    return any(entry.get("state") in ("failed", "stopped") for entry in journal["steps"].values())


def _progress(entry: Mapping[str, Any]) -> str:
    """How far a step is, in words."""
    if entry.get("metrics"):
        return ", ".join(
            f"{name.replace('_', ' ')} {value:.5g}" for name, value in entry["metrics"].items() if isinstance(value, int | float)
        )
    if "phase" in entry:
        return f"{entry['done']:,} of {entry['total']:,} units of {entry['phase'].replace('_', ' ')}"
    return "its beginning"


def words_of(seconds: float) -> str:
    """A length of time for people: "0.4 s", "12 s", "3 min", "2 h", "5 days"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
