"""The files of a source as they were found: names, sizes and marks of their content; and the units they are read in."""

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeVar, overload

from pipeline.errors import RequestError, RunError
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.formats.known import format_of, format_suffix
from pipeline.storage import checksum_of
from pipeline.workflow.stamps import remembered

UNIT_BYTES, MOST_UNIT_BYTES = 8 << 20, 16 << 20
"""Small files are read together, so many bytes on average and so many at most; a larger file is a unit by itself."""
SNAPSHOT_DIGITS = 20
SHOWN_KINDS = 12
WEIGHED_AT_ONCE = 1 << 14
"""Local files whose checksums are made, or looked up, at a time."""


@dataclass(frozen=True)
class Listing:
    """The readable files of a location in order, and how many others lie there, by kind."""

    location: str
    files: Catalogue
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def snapshot(self) -> str:
        """A digest of names (relative to the location), sizes and contents."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(os.fsencode(f"{file.path.removeprefix(self.location)}\0{file.bytes}\0{file.mark}\n"))
        return digest.hexdigest()[:SNAPSHOT_DIGITS]


T = TypeVar("T")


def choose(names: Iterable[tuple[str, T]], others: Counter[str]) -> Iterator[tuple[str, T]]:
    """The named things that are in a known format; the others are counted in `others`, by suffix."""
    for name, thing in names:
        if format_of(name) is None:
            others[format_suffix(name) or "no suffix"] += 1
        else:
            yield name, thing


def walk(folder: str, skipped: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """The files below a folder: names relative to it, and paths. Hidden ones and folders in `skipped` are passed over.

    Files come in any order. Links are followed; a folder that is reached in several ways is read once, by the name that is first in
    order of names. Raises OSError.
    """
    yield from _walk(folder, "", skipped, {_identity(os.stat(folder))})


def _walk(folder: str, prefix: str, skipped: frozenset[str], seen: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    below = []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if entry.is_file():
                yield f"{prefix}{entry.name}", entry.path
            elif entry.is_dir() and entry.name not in skipped:
                below.append(entry)
    for entry in sorted(below, key=lambda entry: entry.name):
        if (identity := _identity(entry.stat())) not in seen:
            seen.add(identity)
            yield from _walk(entry.path, f"{prefix}{entry.name}/", skipped, seen)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def unreadable(path: str, problem: OSError) -> RequestError:
    """The error for a path that the system does not let us read."""
    return RequestError(f"cannot read {path!r}: {problem.strerror}; make it readable, or leave it out of the sources")


def weigh(files: Iterable[tuple[str, str]]) -> Iterator[ListedFile]:
    """Named files with their sizes and the checksums of their contents; raises RequestError for one that cannot be read.

    A file that has not changed since it was weighed last is not read again.
    """
    files = iter(files)
    while some := list(islice(files, WEIGHED_AT_ONCE)):
        yield from _weighed(some)


def _weighed(files: Sequence[tuple[str, str]]) -> Iterator[ListedFile]:
    names = {os.path.abspath(path): name for name, path in files}
    try:
        sums = remembered("source", [os.path.abspath(path) for _, path in files], lambda paths: _sums(paths, names))
        for (name, path), mark in zip(files, sums, strict=True):
            yield ListedFile(name, os.stat(path).st_size, mark)
    except OSError as problem:
        raise unreadable(names.get(str(problem.filename), str(problem.filename)), problem) from problem


def _sums(paths: Sequence[str], names: Mapping[str, str]) -> Iterator[str]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return iter(list(pool.map(lambda path: _sum(path, names[path]), paths, chunksize=1)))


def _sum(path: str, name: str) -> str:
    try:
        with open(path, "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as problem:
        raise unreadable(name, problem) from problem


class Units(Sequence[tuple[ListedFile, ...]]):
    """Runs of files in order, each made when it is asked for."""

    def __init__(self, files: Sequence[ListedFile], bounds: Sequence[int]) -> None:
        self._files, self._bounds = files, bounds

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, place: int) -> tuple[ListedFile, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> "list[tuple[ListedFile, ...]]": ...

    def __getitem__(self, place: int | slice) -> "tuple[ListedFile, ...] | list[tuple[ListedFile, ...]]":
        if isinstance(place, slice):
            return [self[number] for number in range(len(self))[place]]
        number = range(len(self))[place]
        return tuple(self._files[self._bounds[number] : self._bounds[number + 1]])

    def __iter__(self) -> Iterator[tuple[ListedFile, ...]]:
        files = iter(self._files)
        return (tuple(islice(files, stop - start)) for start, stop in pairwise(self._bounds))


def units(files: Sequence[ListedFile]) -> Units:
    """The files in order, in groups of about UNIT_BYTES: a function of the listing alone.

    A hash of a file's name says whether its group ends with it (the larger the file, the likelier), as in content-defined
    chunking (Muthitacharoen and others, 2001): where a file comes or goes, the groups that are not near stay as they are.
    """
    bounds = array("q")
    room = 0
    for place, file in enumerate(files):
        if not bounds or file.bytes > room:
            bounds.append(place)
            room = MOST_UNIT_BYTES
        room = 0 if _ends(file) else room - file.bytes
    bounds.append(len(files))
    return Units(files, bounds)


def _ends(file: ListedFile) -> bool:
    digest = hashlib.blake2b(os.fsencode(file.path), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < file.bytes / UNIT_BYTES


@contextmanager
def unchanged(file: ListedFile, path: Path) -> Iterator[Path]:
    """A local file for as long as it is read; raises RunError unless it is as it was listed, before and after."""
    before = _state(file, path)
    if checksum_of(path) != file.mark:
        raise changed(file.path)
    yield path
    if _state(file, path) != before:
        raise changed(file.path)


def _state(file: ListedFile, path: Path) -> tuple[int, int, int]:
    """What differs when a file is written to or replaced."""
    try:
        status = path.stat()
    except FileNotFoundError as problem:
        raise changed(file.path) from problem
    return status.st_size, status.st_mtime_ns, status.st_ino


def changed(path: str) -> RunError:
    """The error for a file whose content is no longer what was listed."""
    return RunError(f"{path} has changed since it was listed; run the same command again, which takes it as it is now")


def kinds_of(left_out: Mapping[str, int]) -> str:
    """What was left out, by kind, as words: the most frequent kinds, and how many others there are."""
    shown = sorted(left_out, key=lambda kind: -left_out[kind])[:SHOWN_KINDS]
    more = f" and {len(left_out) - len(shown)} kinds more" if len(left_out) > len(shown) else ""
    return ", ".join(f"{left_out[kind]} {kind}" for kind in shown) + more
