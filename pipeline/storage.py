"""Where artifacts live: a local folder or an object store, behind five verbs and no rename.

Everything rests on `put_new`: a file appears whole or not at all, and the first writer wins. Object stores
offer that as a conditional put; a local folder as a hard link to a finished, flushed file.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import Damaged, RequestError

OBJECT_SCHEMES = ("s3://", "gs://", "az://", "abfss://", "http://", "https://", "memory://")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A stored file: its path below the store's root, and its size in bytes."""

    path: str
    bytes: int


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

    def delete(self, path: str) -> None:
        """Remove a file; none there is no error."""

    def local(self, path: str, checksum: str) -> Path:
        """A local file with these bytes, checked against `checksum` ("sha256:…"); raises Damaged."""

    def check_writable(self) -> None:
        """Raise RequestError where nothing can be written."""


def open_store(url: str) -> Store:
    """The store at `url`: a folder (relative, absolute or file://), or an object store's URL."""
    if url.startswith(OBJECT_SCHEMES):
        return ObjectStore(url.rstrip("/"))
    if "://" in url and not url.startswith("file://"):
        raise RequestError(f"cannot keep artifacts at {url!r}: use a folder, s3://bucket/prefix, gs://… or az://…")
    return LocalStore(str(Path(url.removeprefix("file://")).expanduser().absolute()))


def checksum_of(data: bytes | Path) -> str:
    """The checksum of bytes or of a local file, as "sha256:<hexadecimal digits>"."""
    if isinstance(data, bytes):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    with open(data, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@dataclass(frozen=True)
class LocalStore:
    """A folder on a file system that has hard links."""

    url: str

    def _place(self, path: str) -> Path:
        return Path(self.url, path)

    def get(self, path: str) -> bytes:
        return self._place(path).read_bytes()

    def size(self, path: str) -> int | None:
        try:
            return self._place(path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put_new(self, path: str, data: bytes | Path) -> bool:
        target = self._place(path)
        if target.exists():
            return False
        draft = self._draft(target, data)
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        _flush_folder(target.parent)
        return True

    def put(self, path: str, data: bytes) -> None:
        target = self._place(path)
        os.replace(self._draft(target, data), target)

    def _draft(self, target: Path, data: bytes | Path) -> Path:
        """A finished, flushed file beside `target` that no listing shows."""
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / f".draft-{uuid.uuid4().hex}"
        try:
            with open(draft, "wb") as file:
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    with open(data, "rb") as origin:
                        shutil.copyfileobj(origin, file, CHUNK_BYTES)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def list(self, prefix: str) -> Iterator[Entry]:
        for folder, folders, names in os.walk(self._place(prefix)):
            folders.sort()
            for name in sorted(names):
                if not name.startswith(".draft-"):
                    place = Path(folder, name)
                    yield Entry(place.relative_to(self.url).as_posix(), place.stat().st_size)

    def delete(self, path: str) -> None:
        self._place(path).unlink(missing_ok=True)

    def local(self, path: str, checksum: str) -> Path:
        place = self._place(path)
        _check(place, checksum, path)
        return place

    def check_writable(self) -> None:
        folder = Path(self.url)
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise RequestError(
                f"cannot write artifacts below {self.url!r}: {folder} is not a folder that you may write to; choose another --root"
            )


@dataclass(frozen=True)
class ObjectStore:
    """An object store, by obstore; credentials and endpoints come from its usual environment variables."""

    url: str

    @cached_property
    def _store(self) -> Any:
        from obstore.store import from_url

        try:
            return from_url(self.url)
        except Exception as problem:
            raise RequestError(f"cannot open {self.url!r}: {_first_line(problem)}; check the address and the credentials") from problem

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    def get(self, path: str) -> bytes:
        import obstore

        return bytes(obstore.get(self._store, path).bytes())

    def size(self, path: str) -> int | None:
        import obstore

        try:
            return int(obstore.head(self._store, path)["size"])
        except FileNotFoundError:
            return None

    def put_new(self, path: str, data: bytes | Path) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def put(self, path: str, data: bytes) -> None:
        import obstore

        obstore.put(self._store, path, data)

    def list(self, prefix: str) -> Iterator[Entry]:
        import obstore

        entries = [Entry(item["path"], item["size"]) for batch in obstore.list(self._store, prefix or None) for item in batch]
        yield from sorted(entries, key=lambda entry: entry.path)

    def delete(self, path: str) -> None:
        import obstore

        try:
            obstore.delete(self._store, path)
        except FileNotFoundError:
            return

    def local(self, path: str, checksum: str) -> Path:
        """Fetched once into a cache that is addressed by content, so that it can be mapped into memory."""
        import obstore

        place = cache_folder() / checksum.replace(":", "-") / Path(path).name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".draft-", delete=False) as draft:
                for chunk in obstore.get(self._store, path).stream(min_chunk_size=CHUNK_BYTES):
                    draft.write(chunk)
            _check(Path(draft.name), checksum, path)
            os.replace(draft.name, place)
        return place

    def check_writable(self) -> None:
        path = f".writable-{uuid.uuid4().hex}"
        try:
            self.put(path, b"")
            self.delete(path)
        except Exception as problem:
            raise RequestError(
                f"cannot write artifacts below {self.url!r}: {_first_line(problem)}; check the address and the credentials"
            ) from problem


def cache_folder() -> Path:
    """Where files of remote stores are kept locally: MILLRACE_CACHE, or the user's cache folder."""
    return Path(os.environ.get("MILLRACE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "millrace")).expanduser()


def _check(place: Path, checksum: str, path: str) -> None:
    found = checksum_of(place)
    if found != checksum:
        raise Damaged(
            f"{path} is damaged: its checksum is {found}, its manifest says {checksum}; delete the manifest beside it to build it again"
        )


def _flush_folder(folder: Path) -> None:
    """A new name in a folder survives a loss of power only once the folder is flushed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
