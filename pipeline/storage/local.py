"""A local folder as a store."""

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RequestError
from pipeline.storage.base import CHUNK_BYTES, Entry, check, checksum_of


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
            status = os.stat(self._place(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

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
        _flush(target.parent)
        return True

    def adopt_new(self, path: str, draft: Path) -> bool:
        """`put_new` of a file that nobody writes to any more: it is not copied where it lies on the same file system."""
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(draft)
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        except OSError:  # on another file system
            return self.put_new(path, draft)
        _flush(target.parent)
        return True

    def put(self, path: str, data: bytes) -> None:
        target = self._place(path)
        draft = self._draft(target, data)
        try:
            os.replace(draft, target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

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
        except BaseException as problem:
            draft.unlink(missing_ok=True)
            if isinstance(problem, OSError) and problem.filename is None:
                problem.filename = str(target)
            raise
        return draft

    def list(self, prefix: str) -> Iterator[Entry]:
        root = f"{self._place('')}/"
        found = [
            f"{folder}/{name}" for folder, _, names in os.walk(self._place(prefix)) for name in names if not name.startswith(".draft-")
        ]
        for place in sorted(found):
            with suppress(FileNotFoundError):  # another driver has removed it meanwhile
                yield Entry(place.removeprefix(root), os.stat(place).st_size)

    def checksum(self, path: str) -> str:
        return checksum_of(self._place(path))

    def delete(self, path: str) -> None:
        self._place(path).unlink(missing_ok=True)

    def local(self, path: str, checksum: str) -> Path:
        place = self._place(path)
        check(place, checksum, path)
        return place

    def check_writable(self) -> None:
        path = f".writable-{uuid.uuid4().hex}"
        try:
            self.put_new(path, b"trial")
            self.delete(path)
        except OSError as problem:
            raise RequestError(f"cannot write artifacts below {self.url!r}: {problem.strerror}; choose another --root") from problem


def _flush(place: Path) -> None:
    """A file's bytes, or a new name in a folder, survive a loss of power only once that is flushed."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
