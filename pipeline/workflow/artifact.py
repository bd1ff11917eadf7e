"""What a finished step left: files, and the manifest that names them. What no manifest names does not exist."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from posixpath import normpath
from typing import Any

from pipeline.errors import Damaged
from pipeline.storage import LocalStore, Store, cache_folder
from pipeline.workflow.fingerprint import Json, canonical_json

NUMBER = re.compile(r"/\d{5}-")
"""The number of a unit in a file's name: where the file stands in a manifest says the same."""


@dataclass(frozen=True)
class FileEntry:
    """A file of an artifact: `path` below the step's folder, size in bytes, "sha256:…", rows where it is a table.

    A file that another artifact of the same kind of step has already is named there: `../FINGERPRINT/…`.
    """

    path: str
    bytes: int
    checksum: str
    rows: int | None = None

    @property
    def name(self) -> str:
        """The path below the folder of the artifact that the file was written for."""
        return self.path.split("/", 2)[2] if self.path.startswith("../") else self.path

    @property
    def kind(self) -> str:
        """The first part of the name."""
        return self.name.split("/", 1)[0]

    def place(self, address: str) -> str:
        """The file's path below the root, for the artifact at an address that names it."""
        return normpath(f"{address}/{self.path}")

    def seen_from(self, home: str, address: str) -> "FileEntry":
        """The same file of the artifact at `home`, as the artifact at `address` names it."""
        own = self.place(home).split("/", 1)[1]
        fingerprint, name = own.split("/", 1)
        return replace(self, path=name if address.endswith(f"/{fingerprint}") else f"../{own}")


@dataclass(frozen=True)
class Manifest:
    """The only truth about a step: written last, once."""

    step: str
    fingerprint: str
    recipe: dict[str, Any]
    inputs: dict[str, dict[str, str]]  # field path → {"address", "content"}
    files: tuple[FileEntry, ...]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.step}/{self.fingerprint}"

    @property
    def content(self) -> str:
        """A digest of the bytes of all files: equal for equal bytes, whoever built them, when, and for which artifact first."""
        listed: list[Json] = [[NUMBER.sub("/", entry.name), entry.bytes, entry.checksum] for entry in self.files]
        return hashlib.sha256(canonical_json(listed)).hexdigest()[:20]

    def to_json(self) -> bytes:
        return as_utf8(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Manifest":
        try:
            fields = json.loads(data)
            fields["files"] = tuple(FileEntry(**entry) for entry in fields["files"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as problem:
            raise Damaged(f"{where} is not a manifest ({problem}); delete it to build the step again") from problem


def as_utf8(text: str) -> bytes:
    """JSON text as bytes; the half characters of an odd file name are written as JSON escapes, which read back."""
    return text.encode("utf-8", "backslashreplace")


def manifest_path(address: str) -> str:
    return f"{address}/manifest.json"


def read_manifest(store: Store, address: str) -> Manifest | None:
    """The manifest at an address; None where the step was not built."""
    try:
        return Manifest.from_json(store.get(manifest_path(address)), f"{store.url}/{manifest_path(address)}")
    except (FileNotFoundError, NotADirectoryError):
        return None


def manifests(store: Store, step: str) -> Iterator[Manifest]:
    """Every built artifact of one kind of step."""
    for entry in store.list(step):
        if entry.path.count("/") == 2 and entry.path.endswith("/manifest.json"):
            manifest = read_manifest(store, entry.path.removesuffix("/manifest.json"))
            if manifest is not None:
                yield manifest


@dataclass(frozen=True)
class Artifact:
    """A finished step, opened for reading. Every file is checked against the manifest before it is used, or what is read of it is."""

    store: Store
    manifest: Manifest

    @property
    def address(self) -> str:
        return self.manifest.address

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.manifest.facts

    def files(self, kind: str) -> tuple[FileEntry, ...]:
        """The files of one kind (the first part of their path), in the order of their units."""
        return tuple(entry for entry in self.manifest.files if entry.kind == kind)

    def local(self, entry: FileEntry) -> Path:
        """A local, verified file with the entry's bytes; raises Damaged."""
        return self.store.local(entry.place(self.address), entry.checksum)

    def unchecked(self, entry: FileEntry) -> Path:
        """A local file that may be damaged, for whoever checks what is read of it; a remote one is checked when it is fetched."""
        return Path(self.store.url, entry.place(self.address)) if isinstance(self.store, LocalStore) else self.local(entry)

    def folder(self, kind: str) -> Path:
        """A local, verified folder with the files that one `write_folder` left, under their own names."""
        entries = self.files(kind)
        names = [entry.name.split("/", 2)[2] for entry in entries]
        places = [self.local(entry) for entry in entries]
        if all(place.as_posix().endswith(f"/{entry.name}") for place, entry in zip(places, entries, strict=True)):
            return Path(places[0].as_posix().removesuffix(f"/{names[0]}"))
        folder = cache_folder() / "folders" / self.manifest.content / kind
        for place, name in zip(places, names, strict=True):
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(place)
        return folder
