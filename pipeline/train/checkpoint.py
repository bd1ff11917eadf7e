"""What training leaves: the finished model, and on the way there the checkpoints that an interrupted run goes on from.

A checkpoint to resume from lies below the step's own address, as `work/checkpoints/BASIS/step-00000100/`; BASIS is a digest of
the code and of the input bytes, since a checkpoint of other ones does not count. Its manifest is written last, so a
checkpoint is whole or does not exist; every file is checked before it is opened. One that other runs are to go on from, when this
one is done, lies outside `work`, in `kept/BASIS/`, and stays.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import Damaged, RunError
from pipeline.storage import LocalStore, Store, checksum_of
from pipeline.train.engine import Resumable
from pipeline.train.gang import gather
from pipeline.train.scratch import scratch
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
    """By how many processes and which engine it was left."""
    files: tuple[FileEntry, ...]

    def to_json(self) -> bytes:
        """With a checksum of itself, since nothing else vouches for a manifest."""
        fields = asdict(self)
        return (json.dumps(fields | {"checksum": checksum_of(json.dumps(fields).encode())}, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Saved":
        """Raises Damaged for what is not, byte for byte, what was written, and what its parts raise where it is nothing like it."""
        fields = json.loads(data)
        saved = cls(fields["steps"], fields["layout"], tuple(FileEntry(**entry) for entry in fields["files"]))
        if saved.to_json() != data:
            raise Damaged("its manifest is not as it was written")
        return saved


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on: the steps that are done, and their metrics as JSON lines."""

    steps: int = 0
    history: str = ""
    place: str = ""
    """The checkpoint's folder."""


@dataclass(frozen=True)
class Earlier:
    """The checkpoints of another run, which did the same as this one in its first steps."""

    folders: tuple[str, ...]
    run: str
    """Its address."""
    until: int
    """So many steps are the same."""
    sought: bool = True
    """Whether it is told of if it has no checkpoint."""


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
    kept: str | None = None
    """The folder of those that stay when the run is done."""
    keep_at: tuple[int, ...] = ()
    """The steps of those."""

    def write(self, save: Callable[[Path], None], steps: int, history: str) -> tuple[FileEntry, ...]:
        """Store this member's part of a checkpoint, which `save` writes into a folder; it counts once all parts are committed."""
        with scratch() as local:
            (state := local / STATE).mkdir()
            save(state)
            if self.member.rank == 0:
                (local / HISTORY).write_text(history)
            return self._upload(local, self._place(steps))

    def commit(self, steps: int, parts: Sequence[Sequence[FileEntry]]) -> None:
        """Make a checkpoint of the parts that all members wrote, and let older ones go. For the first member alone."""
        saved = Saved(steps, self.layout, _merged(parts))
        self.store.put_new(f"{self._place(steps)}/{MANIFEST}", saved.to_json())
        try:
            self._prune()
        except (OSError, RunError) as problem:
            log.warning("older checkpoints than that of %d steps stay behind: %s", steps, problem)

    def discard(self, steps: int) -> None:
        """Remove what there is of a checkpoint that was not committed. For the first member alone; what cannot be removed does no harm."""
        with suppress(OSError, RunError):
            if self.store.size(f"{(place := self._place(steps))}/{MANIFEST}") is None:
                self._remove(place)

    def resume(self, state: Resumable) -> Resumed:
        """Load the newest whole checkpoint into an engine, if there is one, whichever gang and engine left it."""
        newest = self._newest() if self.member.rank == 0 else None
        found = gather(self.member, newest)[0]
        if found is None:
            return Resumed()
        if self.member.rank == 0 and found.saved.layout != self.layout:
            log.info("%s was left by %s, and goes on with %s", found.place, found.saved.layout, self.layout)
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            for entry in found.saved.files:
                link = Path(local, _own_name(entry))
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self._fetch(found.place, entry))
            state.load(Path(local, STATE))
            history = Path(local, HISTORY).read_text()
        return Resumed(found.saved.steps, history, found.place)

    def _upload(self, local: Path, target: str) -> tuple[FileEntry, ...]:
        """Store files under names that begin with their checksum, so that no half checkpoint is in the way."""
        entries, mode = [], Path(local, STATE).stat().st_mode & 0o666  # what this process lets others read; safetensors lets nobody
        put_new = self.store.adopt_new if isinstance(self.store, LocalStore) else self.store.put_new
        for place in sorted(place for place in local.rglob("*") if place.is_file()):
            checksum = checksum_of(place)
            path = f"{checksum.removeprefix('sha256:')[:12]}/{place.relative_to(local).as_posix()}"
            entry = FileEntry(path, place.stat().st_size, checksum)
            place.chmod(mode)
            put_new(f"{target}/{entry.path}", place)
            entries.append(entry)
        return tuple(entries)

    def _fetch(self, place: str, entry: FileEntry) -> Path:
        return self.store.local(f"{place}/{entry.path}", entry.checksum)

    def _newest(self) -> Found | None:
        """The newest whole checkpoint, of this run or of an earlier one."""
        there = any(self._there(folder) for folder in self._own)
        own = [found for folder in self._own if (found := self._whole(folder, None)) is not None]
        others = [(folder, run.until) for run in self.earlier for folder in run.folders]
        taken = [found for folder, until in others if (found := self._whole(folder, until)) is not None]
        newest = max([*own, *taken], key=lambda found: found.saved.steps, default=None)
        if newest is not None and newest not in own:
            log.info("training goes on from %s", newest.place)
        elif newest is None and there:
            log.warning("no checkpoint is whole: training begins with the first step")
        elif newest is None and (sought := [run for run in self.earlier if run.sought]):
            runs = ", nor ".join(f"up to step {run.until} in {run.run}" for run in sought)
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
                if saved.steps != steps:
                    raise Damaged(f"its manifest is that of {saved.steps} steps")
                for entry in saved.files:
                    self._fetch(place, entry)
            except FileNotFoundError:
                log.warning("the checkpoint of %d steps is only half there and is passed over", steps)
            except (Damaged, ValueError, KeyError, TypeError) as problem:
                log.warning("the checkpoint of %d steps is damaged and is passed over: %s", steps, problem)
                if folder in self._own:
                    self._remove(place)
            else:
                return Found(place, saved)
        return None

    def _prune(self) -> None:
        there = self._there(self.folder)
        whole = [steps for steps in there if self.store.size(f"{_step(self.folder, steps)}/{MANIFEST}") is not None]
        for steps in there:
            if whole[-KEPT:] and steps < whole[-KEPT:][0]:
                self._remove(_step(self.folder, steps))

    def _place(self, steps: int) -> str:
        """Where the checkpoint of so many steps lies."""
        return _step(self.kept if self.kept is not None and steps in self.keep_at else self.folder, steps)

    @property
    def _own(self) -> tuple[str, ...]:
        """The folders of this run."""
        return (self.folder,) if self.kept is None else (self.folder, self.kept)

    def _remove(self, place: str) -> None:
        self.store.delete(f"{place}/{MANIFEST}")  # first, so that no manifest names what is gone
        for entry in list(self.store.list(place)):
            self.store.delete(entry.path)
        if isinstance(self.store, LocalStore):
            shutil.rmtree(Path(self.store.url, place), ignore_errors=True)  # what a killed process was writing is in no listing

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
