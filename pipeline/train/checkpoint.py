"""What training leaves: the finished model, and on the way there the checkpoints that an interrupted run goes on from.

A checkpoint to resume from lies below the step's own address, as `work/checkpoints/BASIS/step-00000100/`; BASIS is a digest of
the code and of the input bytes, since a checkpoint of other ones does not count. Its manifest is written last, so a
checkpoint is whole or does not exist; every file is checked before it is opened.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import Damaged, RunError
from pipeline.storage import Store, checksum_of
from pipeline.train.engine import Engine
from pipeline.train.gang import gather
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.step import Member

log = logging.getLogger(__name__)
MODEL, METRICS = "model", "metrics"
MANIFEST = "manifest.json"
STATE, HISTORY = "engine", "metrics.jsonl"
KEPT = 2
"""Whole checkpoints that are kept: one more than is needed, in case the newest is damaged."""


class Checkpoint(Artifact):
    """A trained model: a folder for transformers, and the metrics of every step."""

    @property
    def model(self) -> Path:
        """The local folder that transformers opens."""
        return self.folder(MODEL)

    def metrics(self) -> list[dict[str, Any]]:
        """One row a step, in order."""
        (entry,) = self.files(METRICS)
        return [json.loads(line) for line in self.local(entry).read_text().splitlines()]


@dataclass(frozen=True)
class Saved:
    """The manifest of a checkpoint to resume from."""

    steps: int
    """Steps that were done."""
    layout: str
    """By how many processes and which engine; only the same ones can open it."""
    files: tuple[FileEntry, ...]

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Saved":
        fields = json.loads(data)
        return cls(fields["steps"], fields["layout"], tuple(FileEntry(**entry) for entry in fields["files"]))


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on: the steps that are done, and their metrics as JSON lines."""

    steps: int = 0
    history: str = ""


@dataclass(frozen=True)
class Earlier:
    """The checkpoints of another run, which did the same as this one in its first steps."""

    folder: str
    run: str
    """Its address."""
    until: int
    """So many steps are the same."""


@dataclass(frozen=True)
class Found:
    """A whole checkpoint, and the folder that its files lie below."""

    place: str
    saved: Saved


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, as one member of its gang sees them. Every member calls each method."""

    store: Store
    folder: str
    """Their folder in the store."""
    layout: str
    member: Member
    earlier: tuple[Earlier, ...] = ()
    """Runs whose checkpoints may be taken over, too."""

    def save(self, engine: Engine, steps: int, history: str) -> None:
        """Keep the gang's state after `steps` steps; older checkpoints go once this one is whole."""
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            state = Path(local, STATE)
            state.mkdir()
            engine.save(state)
            if self.member.rank == 0:
                Path(local, HISTORY).write_text(history)
            mine = self._upload(Path(local), _step(self.folder, steps))
        parts = gather(self.member, mine)
        if self.member.rank == 0:
            saved = Saved(steps, self.layout, _merged(parts))
            self.store.put_new(f"{_step(self.folder, steps)}/{MANIFEST}", saved.to_json())
            self._prune()

    def resume(self, engine: Engine) -> Resumed:
        """Load the newest whole checkpoint into the engine, if there is one; raises RunError for one of another layout."""
        newest = self._newest() if self.member.rank == 0 else None
        found = gather(self.member, newest)[0]
        if found is None:
            return Resumed()
        if found.saved.layout != self.layout:
            raise RunError(
                f"{found.place} holds a checkpoint of {found.saved.steps} steps by {found.saved.layout}, which {self.layout} cannot open:"
                " run as before, or delete that folder to begin again"
            )
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            for entry in found.saved.files:
                link = Path(local, _own_name(entry))
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self._fetch(found.place, entry))
            engine.load(Path(local, STATE))
            history = Path(local, HISTORY).read_text()
        return Resumed(found.saved.steps, history)

    def _upload(self, local: Path, target: str) -> tuple[FileEntry, ...]:
        """Store files under names that begin with their checksum, so that no half checkpoint is in the way."""
        entries = []
        for place in sorted(place for place in local.rglob("*") if place.is_file()):
            checksum = checksum_of(place)
            path = f"{checksum.removeprefix('sha256:')[:12]}/{place.relative_to(local).as_posix()}"
            entry = FileEntry(path, place.stat().st_size, checksum)
            self.store.put_new(f"{target}/{entry.path}", place)
            entries.append(entry)
        return tuple(entries)

    def _fetch(self, place: str, entry: FileEntry) -> Path:
        return self.store.local(f"{place}/{entry.path}", entry.checksum)

    def _newest(self) -> Found | None:
        """The newest whole checkpoint, of this run or of an earlier one."""
        own = self._whole(self.folder, None)
        taken = [found for run in self.earlier if (found := self._whole(run.folder, run.until)) is not None]
        newest = max([*([own] if own else []), *taken], key=lambda found: found.saved.steps, default=None)
        if newest is not None and newest is not own:
            log.info("training goes on from %s", newest.place)
        elif newest is None and self.earlier:
            runs = ", nor ".join(f"up to step {run.until} in {run.run}" for run in self.earlier)
            log.warning("there is no checkpoint to go on from %s: training begins with the first step", runs)
        return newest

    def _whole(self, folder: str, until: int | None) -> Found | None:
        """The newest checkpoint in a folder whose every file is as it was written. A damaged one is told of; one of this run is removed."""
        for steps in reversed(self._there(folder)):
            place = _step(folder, steps)
            if until is not None and steps > until:
                continue
            try:
                saved = Saved.from_json(self.store.get(f"{place}/{MANIFEST}"))
                for entry in saved.files:
                    self._fetch(place, entry)
            except FileNotFoundError:
                log.warning("the checkpoint of %d steps is only half there and is passed over", steps)
            except (Damaged, ValueError, KeyError, TypeError) as problem:
                log.warning("the checkpoint of %d steps is damaged and is passed over: %s", steps, problem)
                if folder == self.folder:
                    self._remove(steps)
            else:
                return Found(place, saved)
        return None

    def _prune(self) -> None:
        there = self._there(self.folder)
        whole = [steps for steps in there if self.store.size(f"{_step(self.folder, steps)}/{MANIFEST}") is not None]
        for steps in there:
            if whole[-KEPT:] and steps < whole[-KEPT:][0]:
                self._remove(steps)

    def _remove(self, steps: int) -> None:
        place = _step(self.folder, steps)
        self.store.delete(f"{place}/{MANIFEST}")  # first, so that no manifest names what is gone
        for entry in list(self.store.list(place)):
            self.store.delete(entry.path)

    def _there(self, folder: str) -> list[int]:
        """The steps of which there is anything in a folder, in order."""
        return sorted({steps for entry in self.store.list(folder) for steps in _steps(entry.path.removeprefix(f"{folder}/"))})


def _step(folder: str, steps: int) -> str:
    return f"{folder}/step-{steps:08d}"


def _steps(path: str) -> Iterator[int]:
    """The number in `step-00000100/…`, if it is one."""
    digits = path.split("/")[0].removeprefix("step-")
    if digits.isdecimal():
        yield int(digits)


def _own_name(entry: FileEntry) -> str:
    """A file's name in the folder that it was uploaded from."""
    return entry.path.split("/", 1)[1]


def _merged(parts: Sequence[Sequence[FileEntry]]) -> tuple[FileEntry, ...]:
    """All members' files, each once; raises RunError where two members wrote different bytes under one name."""
    files: dict[str, FileEntry] = {}
    for entry in (entry for part in parts for entry in part):
        name = _own_name(entry)
        if files.setdefault(name, entry).checksum != entry.checksum:
            raise RunError(f"two members wrote different files named {name} into one checkpoint: each must use names of its own")
    return tuple(entry for _, entry in sorted(files.items()))
