"""A unit of work: what is done, and committed by itself, for one item of a `map`, or by a gang.

Files are named by their content, so that two drivers that do the same unit at once cannot disturb each
other, and the receipt (written once, after the files) says which of them count.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import RunError
from pipeline.storage import LocalStore, Store, checksum_of, open_store
from pipeline.workflow.artifact import Artifact, FileEntry, read_manifest
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.reuse import remember

if TYPE_CHECKING:
    from pipeline.workflow.step import Step

A = TypeVar("A", bound=Artifact)


@dataclass
class Unit:
    """What a unit of work may do: open inputs, write files. `index` is the item's place in its phase."""

    store: Store
    address: str
    phase: str
    index: int
    files: list[FileEntry] = field(default_factory=list)
    scratches: list[FileEntry] = field(default_factory=list)

    def open(self, step: "Step[A]") -> A:
        """The artifact of an input."""
        return open_artifact(self.store, step)

    def write(self, kind: str, data: bytes | Path, suffix: str, rows: int | None = None) -> FileEntry:
        """Add a file to the artifact, as `kind/INDEX-CHECKSUM.suffix`. A local file is a draft, which nobody writes to any more."""
        entry = self._write(kind, data, suffix, rows)
        self.files.append(entry)
        return entry

    def write_folder(self, kind: str, folder: Path) -> None:
        """Add the files of a local folder under their own names, below one folder named by its content."""
        places = sorted(place for place in folder.rglob("*") if place.is_file())
        checksums = [checksum_of(place) for place in places]
        names = [place.relative_to(folder).as_posix() for place in places]
        whole = checksum_of(json.dumps([names, checksums]).encode()).removeprefix("sha256:")[:12]
        for place, name, checksum in zip(places, names, checksums, strict=True):
            entry = FileEntry(f"{kind}/{whole}/{name}", place.stat().st_size, checksum)
            self._put(entry, place, self.store.put_new)
            self.files.append(entry)

    def scratch(self, kind: str, data: bytes | Path, suffix: str, rows: int | None = None) -> FileEntry:
        """Leave a file for later units of this step; it is removed when the step is done."""
        entry = self._write(f"work/{kind}", data, suffix, rows)
        self.scratches.append(entry)
        return entry

    def local(self, entry: FileEntry) -> Path:
        """A local, verified copy of a file that an earlier unit of this step left."""
        return self.store.local(entry.place(self.address), entry.checksum)

    def _write(self, kind: str, data: bytes | Path, suffix: str, rows: int | None) -> FileEntry:
        checksum = checksum_of(data)
        name = f"{kind}/{self.index:05d}-{checksum.removeprefix('sha256:')[:12]}{suffix}"
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        entry = FileEntry(name, size, checksum, rows)
        put_new = self.store.adopt_new if isinstance(data, Path) and isinstance(self.store, LocalStore) else self.store.put_new
        self._put(entry, data, put_new)
        return entry

    def _put(self, entry: FileEntry, data: bytes | Path, put_new: Callable[[str, Any], bool]) -> None:
        """A file of that name that is there already has the same bytes; where it was damaged since, it is replaced."""
        path = f"{self.address}/{entry.path}"
        if not put_new(path, data) and self.store.checksum(path) != entry.checksum:
            self.store.delete(path)
            put_new(path, data)


def open_artifact(store: Store, step: "Step[A]") -> A:
    """The artifact of a finished step; RunError where it was not built."""
    manifest = read_manifest(store, step.address)
    if manifest is None:
        raise RunError(f"{step.address} is not built in {store.url}; run the same command again")
    return step.artifact(store, manifest)  # type: ignore[return-value]


@dataclass(frozen=True)
class UnitTask:
    """One unit of work as it travels to a worker: plain data and a picklable function."""

    root: str
    address: str
    basis: str
    phase: str
    index: int
    work: Callable[[Unit, Any], Mapping[str, Any]]
    item: Any
    reuse: str | None = None
    """Where the receipt is kept for other artifacts, if they may take it over."""

    @property
    def receipt_path(self) -> str:
        return f"{receipts_folder(self.address, self.basis, self.phase)}/{self.index:05d}.json"

    def run(self) -> Receipt:
        """Do the unit and commit it."""
        unit = Unit(open_store(self.root), self.address, self.phase, self.index)
        return self.commit(unit, self.work(unit, self.item))

    def commit(self, unit: Unit, facts: Mapping[str, Any]) -> Receipt:
        """Write the receipt, and return it as written; the one that is there counts, if another came first."""
        data = Receipt(tuple(unit.files), tuple(unit.scratches), facts).to_json()
        receipt = Receipt.from_json(data if unit.store.put_new(self.receipt_path, data) else unit.store.get(self.receipt_path))
        if self.reuse is not None:
            remember(unit.store, self.reuse, self.address, receipt)
        return receipt


def receipts_folder(address: str, basis: str, phase: str) -> str:
    """Receipts of other code or of other input bytes do not count, so a digest of both names their folder."""
    return f"{address}/work/receipts/{basis}/{phase}"
