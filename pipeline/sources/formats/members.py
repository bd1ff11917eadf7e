"""Gzip members and zstd frames as stretches of bytes: what is broken ends its own stretch, and the next one is read.

WARC files have a member for each record. So a member that begins as a record does begins a stretch of its own, and
is what is looked for after a broken one; other members (a file may be cut anywhere) go on where the last one ended.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.sources.formats.streams import BOMB, BUFFER_BYTES, DAMAGED, EXPANSION, TRUNCATED, BrokenStream, byte_limit

INPUT_BYTES = 1 << 10
"""What is decompressed at once: not more than 32 MiB can come of it, whatever it holds."""
MEMBER_BYTES = 64 << 20
"""What may come out of one member, however small it is."""
PROBE_BYTES = 64 << 10
"""What a look at a place that may begin a member counts as, so that their number is bounded too."""
FREE_AGAIN_BYTES = 1 << 20
"""What is read again for the members in it, after it was read to where a member breaks."""
MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}


class Stretches:
    """The stretches of a compressed file, in order, to be used as a context; `start` is what each begins with."""

    def __init__(self, path: Path, compression: str, start: bytes) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        self._compression = compression
        self._start = start
        self._left = byte_limit(path)
        self._again = max(FREE_AGAIN_BYTES, 2 * path.stat().st_size)
        self._decoder: Any = None
        self._first, self._in, self._out = 0, 0, 0  # of the member: where it begins, bytes read of it, bytes that came out
        self._ahead = b""  # came out of the member, and not yet into the stretch

    def __enter__(self) -> Iterator[io.BufferedReader]:
        return self._stretches()

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _stretches(self) -> Iterator[io.BufferedReader]:
        self._begin(0)
        while True:
            stretch = _Stretch(self)
            reader: io.BufferedReader = io.BufferedReader(stretch, INPUT_BYTES)
            with reader:
                yield reader
            if (stretch.broken and not self._find()) or (not stretch.broken and not self._ahead):
                return

    def piece(self) -> bytes:
        """What comes next in this stretch; nothing at its end. Raises BrokenStream."""
        while not self._ahead:
            if self._decoder.eof:
                self._begin(self._file.tell() - len(self._decoder.unused_data))
                if not self._decode():
                    return b""
                if self._ahead.startswith(self._start):
                    return b""
            elif not self._decode():
                if self._in:
                    raise BrokenStream(TRUNCATED)
                return b""
        ahead, self._ahead = self._ahead, b""
        return ahead

    def _begin(self, place: int) -> None:
        self._file.seek(place)
        self._first, self._in, self._out = place, 0, 0
        self._ahead = b""
        self._decoder = _decoder(self._compression)

    def _decode(self) -> bool:
        """Take one piece of the member; says whether there was one. Raises BrokenStream."""
        data = self._file.read(INPUT_BYTES)
        if not data:
            return False
        self._in += len(data)
        self._ahead = _decompressed(self._decoder, data)
        self._out += len(self._ahead)
        self._left -= len(self._ahead)
        if self._left < 0 or self._out > max(MEMBER_BYTES, EXPANSION * self._in):
            raise BrokenStream(BOMB)
        return True

    def _find(self) -> bool:
        """Go to the next member that begins as a stretch does, after the place where the broken one begins."""
        magic = MAGIC[self._compression]
        reached = self._file.tell()
        for place in _places(self._file, magic, self._first + 1):
            self._left -= PROBE_BYTES
            if self._left < 0:
                return False
            self._begin(place)
            try:
                found = self._decode() and self._ahead.startswith(self._start)
            except BrokenStream:
                continue
            if found:
                self._again -= max(0, reached - place)
                return self._again >= 0
        return False


class _Stretch(io.RawIOBase):
    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches
        self._rest = memoryview(b"")
        self.broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._rest or memoryview(self._stretches.piece())
        except BrokenStream:
            self.broken = True
            raise
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        self._rest = data[taken:]
        return taken


def _decoder(compression: str) -> Any:
    if compression == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


def _decompressed(decoder: Any, data: bytes) -> bytes:
    import zstandard

    try:
        plain: bytes = decoder.decompress(data)
    except (zlib.error, zstandard.ZstdError) as problem:
        raise BrokenStream(DAMAGED) from problem
    return plain


def _places(file: Any, magic: bytes, start: int) -> Iterator[int]:
    """Where a file holds some bytes, from a place on; it may be moved meanwhile."""
    while True:
        file.seek(start)
        block = file.read(BUFFER_BYTES)
        if len(block) < len(magic):
            return
        place = block.find(magic)
        while place >= 0:
            yield start + place
            place = block.find(magic, place + 1)
        start += len(block) - len(magic) + 1
