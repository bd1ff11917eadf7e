"""Where files lie: this machine, an object store, or the web. Each place lists them, and lends them as local files."""

import glob
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.errors import RequestError, RunError
from pipeline.sources.formats.known import READABLE, format_of
from pipeline.sources.listing import ListedFile, Listing, changed, choose, unchanged, unreadable, walk, weigh
from pipeline.storage import Entry, ObjectStore

GLOB = re.compile(r"[*?\[]")


class Place(ABC):
    """Base of all places; picklable, so that a worker can read what the driver has listed."""

    @abstractmethod
    def list(self) -> Listing:
        """What is there now; raises RequestError where nothing can be read."""

    @abstractmethod
    def lend(self, file: ListedFile) -> AbstractContextManager[Path]:
        """A local file with the bytes that were listed; raises RunError where they are others now."""


def listing_of(location: str, files: tuple[ListedFile, ...], left_out: dict[str, int]) -> Listing:
    """A listing that holds something; else RequestError."""
    if not files:
        others = ", ".join(f"{count} {kind}" for kind, count in left_out.items())
        raise RequestError(f"cannot read {location!r}: it holds no readable file{f' ({others})' if others else ''}; readable: {READABLE}")
    if not any(file.bytes for file in files):
        raise RequestError(f"cannot read {location!r}: every file in it is empty; give one with text in it")
    return Listing(location, files, left_out)


def require_format(location: str) -> None:
    """Raise RequestError for the name of a file in no known format."""
    if format_of(location) is None:
        raise RequestError(f"cannot read {location!r}: its name says no known format; readable: {READABLE}")


@dataclass(frozen=True)
class LocalPlace(Place):
    """A file, a folder or a glob, relative to a working folder."""

    location: str
    folder: str

    def list(self) -> Listing:
        try:
            files, left_out = choose(self._named())
        except OSError as problem:
            raise unreadable(str(problem.filename or self.location).removeprefix(f"{self.folder}/"), problem) from problem
        return listing_of(self.location, weigh(files), left_out)

    def lend(self, file: ListedFile) -> AbstractContextManager[Path]:
        return unchanged(file, self.path(file.path))

    def path(self, name: str) -> Path:
        """Where a file is that has this name in the listing."""
        return Path(self.folder, Path(name).expanduser())

    def _named(self) -> Iterator[tuple[str, str]]:
        """The files of the location, named as the user would."""
        path = self.path(self.location)
        if path.is_file():
            require_format(self.location)
            yield self.location, str(path)
        elif path.is_dir():
            yield from _below(self.location, path)
        elif GLOB.search(self.location) and not path.exists():
            yield from self._matches()
        else:
            what = "it is neither a file nor a folder" if path.exists() else "there is no such file or folder"
            raise RequestError(f"cannot read {self.location!r}: {what}; check the path")

    def _matches(self) -> Iterator[tuple[str, str]]:
        pattern = os.path.expanduser(self.location)
        names = sorted(glob.glob(pattern, root_dir=self.folder, recursive=True))
        if not names:
            raise RequestError(f"cannot read {self.location!r}: it matches no file; check the pattern")
        for name in names:
            path = self.path(name)
            if path.is_file():
                yield name, str(path)
            elif "**" not in pattern:
                yield from _below(name.rstrip("/"), path)


def _below(location: str, folder: Path) -> Iterator[tuple[str, str]]:
    for name, path in walk(str(folder)):
        yield str(PurePosixPath(location, name)), path


@dataclass(frozen=True)
class ObjectPlace(Place):
    """An object, a prefix or a glob in an object store."""

    location: str

    @property
    def _root(self) -> str:
        parts = urlsplit(self.location)
        return f"{parts.scheme}://{parts.netloc}"

    def list(self) -> Listing:
        key = self.location.removeprefix(self._root).strip("/")
        try:
            chosen, left_out = choose((entry.path, entry) for entry in self._entries(ObjectStore(self._root), key))
        except RunError as problem:
            raise RequestError(f"cannot read {self.location!r}: {problem}") from problem
        files = tuple(ListedFile(f"{self._root}/{key}", entry.bytes, _mark(entry)) for key, entry in chosen)
        return listing_of(self.location, files, left_out)

    def _entries(self, store: ObjectStore, key: str) -> Iterator[Entry]:
        entry = store.entry(key) if key else None
        if entry is not None:
            require_format(self.location)
            yield entry
            return
        folder, pattern = key, re.compile("")
        if wild := GLOB.search(key):
            folder, pattern = key[: wild.start()].rpartition("/")[0], matcher(key)
        entries = [entry for entry in store.list(folder) if pattern.match(entry.path) and not _hidden(entry.path.removeprefix(folder))]
        if not entries:
            raise RequestError(f"cannot read {self.location!r}: there is no such object or prefix; check the address")
        yield from entries

    @contextmanager
    def lend(self, file: ListedFile) -> Iterator[Path]:
        store, key = ObjectStore(self._root), file.path.removeprefix(self._root).lstrip("/")
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            path = Path(folder, "object")
            try:
                store.fetch(key, path)
            except FileNotFoundError as problem:
                raise changed(file.path) from problem
            entry = store.entry(key)
            if entry is None or _mark(entry) != file.mark or path.stat().st_size != file.bytes:
                raise changed(file.path)
            yield path


def _mark(entry: Entry) -> str:
    return f"etag:{entry.etag}"


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def matcher(pattern: str) -> re.Pattern[str]:
    """A pattern for whole keys, in which `*` and `?` stay within a part, and `**` stands for any number of parts."""
    parts = ["(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in pattern.split("/")]
    whole = "".join(parts)
    return re.compile((f"{whole}[^/]+" if pattern.endswith("**") else whole.removesuffix("/")) + r"\Z")


def _part(part: str) -> str:
    wild = {"*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\[!?\]?[^\]]*\]|.", part)
    return "".join(wild.get(token) or (_class(token) if len(token) > 1 else re.escape(token)) for token in tokens)


def _class(token: str) -> str:
    """A set of characters, as "[a-z]" or "[!a-z]"."""
    inner = token[1:-1].replace("\\", "\\\\")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
