"""What a store is: five verbs and no rename; and checksums, which every file is held against when it is opened.

Everything rests on `put_new`: a file appears whole or not at all, and the first writer wins. Object stores
offer that as a conditional put; a local folder as a hard link to a finished, flushed file.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import Damaged

CHUNK_BYTES = 1 << 20
REMEDY = "delete it and the manifest of its step, and run the same command again to build it anew"


@dataclass(frozen=True)
class Entry:
    """A stored file: its path below the store's root, its size in bytes, and an object store's mark of its content."""

    path: str
    bytes: int
    etag: str | None = None


class Store(Protocol):
    """A root. Paths are relative, with `/` between their parts."""

    @property
    def url(self) -> str: ...

    def get(self, path: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""

    def size(self, path: str) -> int | None:
        """The size of a file in bytes; None where there is none."""

    def put_new(self, path: str, data: bytes | Path) -> bool:
        """Write a file whole, unless there is one already; says whether it was written."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole, over any older one. Only for what is no truth: journals."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """The files below the folder `prefix`, in order of their paths."""

    def checksum(self, path: str) -> str:
        """The checksum of a stored file, read as a stream; FileNotFoundError where there is none."""

    def delete(self, path: str) -> None:
        """Remove a file; none there is no error."""

    def local(self, path: str, checksum: str) -> Path:
        """A local file with these bytes, checked against `checksum` ("sha256:…"); raises Damaged."""

    def check_writable(self) -> None:
        """Raise RequestError where nothing can be written."""


def checksum_of(data: bytes | Path) -> str:
    """The checksum of bytes or of a local file, as "sha256:<hexadecimal digits>"."""
    if isinstance(data, bytes):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    with open(data, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def cache_folder() -> Path:
    """Where files of remote stores are kept locally: MILLRACE_CACHE, or the user's cache folder."""
    return Path(os.environ.get("MILLRACE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "millrace")).expanduser()


def check(place: Path, checksum: str, path: str) -> None:
    """Raise Damaged unless a file has the checksum. In one process, a file that was found whole is read again only if it changed."""
    try:
        stamp = _stamp(place)
        if _whole.get(place) == (stamp, checksum):
            return
        found = checksum_of(place)
    except FileNotFoundError as problem:
        raise Damaged(f"{path} is missing, though a manifest names it; {REMEDY}") from problem
    if found != checksum:
        raise Damaged(f"{path} is damaged: its checksum is {found}, its manifest says {checksum}; {REMEDY}")
    if len(_whole) >= MOST_WHOLE:
        _whole.clear()
    _whole[place] = (stamp, checksum)


def _stamp(place: Path) -> tuple[int, ...]:
    status = place.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


_whole: dict[Path, tuple[tuple[int, ...], str]] = {}
"""Files that were found whole in this process, as they were then."""
MOST_WHOLE = 100_000
