"""Compressed files as streams that cannot explode: what comes out is bounded by what went in."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

EXPANSION = 200
"""Bytes that may come out of one compressed byte. Text compresses 3 to 20 times; bombs a thousand times and more."""
FREE_BYTES = 256 << 20
"""Bytes that may come out whatever went in, so that small files of one repeated line can be read."""
CHUNK_BYTES = 32 << 10
"""What is lost at most before the place where a stream breaks off."""
BUFFER_BYTES = 1 << 20
TRUNCATED, BOMB, DAMAGED = "truncated", "decompression-limit", "damaged-file"


class BrokenStream(Exception):
    """The bytes cannot be read from here on; `reason` says why, as a drop does."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def byte_limit(path: Path) -> int:
    """How many bytes may come out of a compressed file."""
    return max(FREE_BYTES, EXPANSION * path.stat().st_size)


class _Expanding(io.RawIOBase):
    """The uncompressed bytes of a file; reading raises BrokenStream."""

    def __init__(self, path: Path, compression: str) -> None:
        self._source = pa.CompressedInputStream(pa.OSFile(str(path)), compression)
        self._left = byte_limit(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(min(len(buffer), CHUNK_BYTES))
        except OSError as problem:
            if problem.errno is not None:
                raise
            raise BrokenStream(_reason(str(problem))) from problem
        self._left -= len(data)
        if self._left < 0:
            raise BrokenStream(BOMB)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _reason(message: str) -> str:
    if "Truncated" in message:
        return TRUNCATED
    return BOMB if "too much memory" in message else DAMAGED


def open_stream(path: Path, compression: str | None) -> io.BufferedReader:
    """A file's bytes, uncompressed, as a buffered stream."""
    if compression is None:
        return io.BufferedReader(io.FileIO(path), BUFFER_BYTES)
    return io.BufferedReader(_Expanding(path, compression), CHUNK_BYTES)


@contextmanager
def plain_copy(path: Path, compression: str) -> Iterator[Path]:
    """A temporary file with the uncompressed bytes; raises BrokenStream."""
    with tempfile.NamedTemporaryFile(prefix="millrace-") as copy:
        with open_stream(path, compression) as stream:
            shutil.copyfileobj(stream, copy, BUFFER_BYTES)
        copy.flush()
        yield Path(copy.name)
