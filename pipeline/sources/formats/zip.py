"""Zip archives, by their central directory."""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from pipeline.sources.formats.archive import DEVICE, FOLDER, LINK, LYING_SIZE, Archive, Member
from pipeline.sources.formats.base import DAMAGED, TOO_LARGE, SourceFile
from pipeline.sources.formats.streams import BrokenStream

ENCRYPTED, OVERLAPPING, UNKNOWN_COMPRESSION = "encrypted-member", "overlapping-members", "unknown-compression"
DIRECTORY_BYTES = 32 << 20
"""What the central directory may have at most: it is read whole, and each member in it takes half a kilobyte of memory."""
COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Those that cannot ask for much memory; hardly any archive has others."""
HEADER_BYTES = 30
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for archives that are none, or are damaged."""


class Zip(Archive):
    """Zip files with the usual compression (deflate)."""

    suffixes = (".zip",)

    def members(self, file: SourceFile) -> Iterator[Member]:
        with file.plain() as path, _Frugal(io.FileIO(path)) as stream:
            try:
                archive = zipfile.ZipFile(stream)
            except BROKEN as problem:
                raise BrokenStream(DAMAGED) from problem
            with archive:
                overlapping, size = _overlapping(archive.infolist()), path.stat().st_size
                for entry in archive.infolist():
                    fault = _kind(entry) or _place(entry, size) or (OVERLAPPING if entry.header_offset in overlapping else None)
                    yield Member(entry.filename, entry.file_size, entry.compress_size, _opener(archive, entry), fault)


class _Frugal(io.BufferedReader):
    """A file of which nobody reads much at once: what lies about its lengths gets no memory for that."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = size if size is not None and 0 <= size <= DIRECTORY_BYTES else DIRECTORY_BYTES + 1
        data = super().read(wanted)
        if len(data) > DIRECTORY_BYTES:
            raise BrokenStream(TOO_LARGE)
        return data


class _Data(io.RawIOBase):
    """The bytes of a member; reading raises BrokenStream where they are damaged."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        try:
            self._source = archive.open(entry)
        except BROKEN as problem:
            raise BrokenStream(DAMAGED) from problem

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except BROKEN as problem:
            raise BrokenStream(DAMAGED) from problem
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    return lambda: _Data(archive, entry)


def _place(entry: zipfile.ZipInfo, size: int) -> str | None:
    """Why a member cannot lie where the directory says, in an archive of `size` bytes."""
    if entry.header_offset < 0:
        return DAMAGED
    return LYING_SIZE if entry.header_offset + entry.compress_size > size else None


def _kind(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is none that is read, whatever its bytes are."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind == stat.S_IFDIR:
        return FOLDER
    if kind not in (0, stat.S_IFREG):
        return LINK if kind == stat.S_IFLNK else DEVICE
    if entry.flag_bits & 1:
        return ENCRYPTED
    return None if entry.compress_type in COMPRESSIONS else UNKNOWN_COMPRESSION


def _overlapping(entries: list[zipfile.ZipInfo]) -> frozenset[int]:
    """Where members begin that share bytes with one before them in the file: one bomb may be the data of many members."""
    shared, end = set[int](), 0
    for start, size in sorted((entry.header_offset, HEADER_BYTES + entry.compress_size) for entry in entries):
        if start < end:
            shared.add(start)
        end = max(end, start + size)
    return frozenset(shared)
