"""Where files lie: this machine, an object store, or the web. Each place lists them, and lends them as local files."""

import glob
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.errors import RequestError, RunError
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.formats.known import READABLE, format_of
from pipeline.sources.listing import Listing, changed, choose, kinds_of, unchanged, unreadable, walk, weigh
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


def listing_of(location: str, files: Catalogue, others: Counter[str]) -> Listing:
    """A listing that holds something; else RequestError."""
    left_out = dict(sorted(others.items()))
    if not files:
        kinds = kinds_of(left_out)
        raise RequestError(f"cannot read {location!r}: it holds no readable file{f' ({kinds})' if kinds else ''}; readable: {READABLE}")
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
        others = Counter[str]()
        try:
            files = Catalogue.of(weigh(choose(self._named(), others)))
        except OSError as problem:
            raise unreadable(str(problem.filename or self.location).removeprefix(f"{self.folder}/"), problem) from problem
        return listing_of(self.location, files, others)

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
        names = glob.iglob(pattern, root_dir=self.folder, recursive=True)
        first = next(names, None)
        if first is None:
            raise RequestError(f"cannot read {self.location!r}: it matches no file; check the pattern")
        for name in chain((first,), names):
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
        others = Counter[str]()
        chosen = choose(((entry.path, entry) for entry in self._entries(ObjectStore(self._root), key)), others)
        try:
            files = Catalogue.of(ListedFile(f"{self._root}/{path}", entry.bytes, _mark(entry)) for path, entry in chosen)
        except RunError as problem:
            raise RequestError(f"cannot read {self.location!r}: {problem}") from problem
        return listing_of(self.location, files, others)

    def _entries(self, store: ObjectStore, key: str) -> Iterator[Entry]:
        entry = store.entry(key) if key else None
        if entry is not None:
            require_format(self.location)
            yield entry
            return
        folder, pattern = key, re.compile("")
        if wild := GLOB.search(key):
            folder, pattern = key[: wild.start()].rpartition("/")[0], matcher(key)
        there = (entry for entry in store.entries(folder) if pattern.match(entry.path) and not _hidden(entry.path.removeprefix(folder)))
        first = next(there, None)
        if first is None:
            raise RequestError(f"cannot read {self.location!r}: there is no such object or prefix; check the address")
        yield first
        yield from there

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
