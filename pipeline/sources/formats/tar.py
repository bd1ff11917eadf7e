"""Tar archives (POSIX pax, ustar and GNU), read from front to back.

They are read here, and not by `tarfile`, which takes extended headers of any length into memory, goes as deep as a
chain of them is long, and ends at the first damaged header: here the next whole one is looked for.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.sources.formats.archive import DEVICE, FOLDER, LINK, LYING_SIZE, Archive, Member
from pipeline.sources.formats.base import DAMAGED, SourceFile
from pipeline.sources.formats.streams import BUFFER_BYTES, TRUNCATED, BrokenStream, open_stream

BLOCK = 512
EXTENDED_BYTES = 1 << 20
"""What an extended header may have at most."""
SPARSE, UNKNOWN_TYPE, MALFORMED_HEADER = "sparse-member", "unknown-member-type", "malformed-header"
REGULAR, EXTENDED, LONG_NAME, OLD_SPARSE = b"\x0007", b"xX", b"L", b"S"
WITHOUT_DATA = {**dict.fromkeys(b"12", LINK), **dict.fromkeys(b"346", DEVICE), **dict.fromkeys(b"5", FOLDER)}
SIZE_DIGITS = 20
NO_MEMBERS = b"gKVDN"
"""Global headers, long names of links, and what GNU's tar keeps for itself."""


class Header(NamedTuple):
    """What a header says of what follows it."""

    kind: int
    name: str
    size: int
    fault: str | None = None


class Tar(Archive):
    """Tar files, compressed as files are."""

    suffixes = (".tar", ".tgz")

    def members(self, file: SourceFile) -> Iterator[Member]:
        compression = file.compression or ("gzip" if file.name.lower().endswith(".tgz") else None)
        size = file.path.stat().st_size if compression is None else None
        with open_stream(file.path, compression) as stream:
            yield from _Blocks(stream, size).members()


class _Data(io.RawIOBase):
    """The bytes of a member; reading raises BrokenStream where the archive ends before them."""

    def __init__(self, stream: io.BufferedReader, size: int) -> None:
        self._stream = stream
        self.left = size
        self.broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self.left)
        self.broken = True  # until this has been read
        data = self._stream.read(wanted)
        if len(data) < wanted:
            raise BrokenStream(TRUNCATED)
        self.broken = False
        self.left -= wanted
        buffer[:wanted] = data
        return wanted


class _Blocks:
    """The blocks of an archive, of `size` bytes where that is known."""

    def __init__(self, stream: io.BufferedReader, size: int | None) -> None:
        self._stream = stream
        self._size = size
        self._found = b""

    def members(self) -> Iterator[Member]:
        """The members up to the end of the archive; raises BrokenStream where it is cut off."""
        said: dict[str, str] = {}
        while (block := self._block()).strip(b"\0"):
            header = _header(block)
            if header is None:
                self._find()
                yield _faulty(DAMAGED)
            elif header.kind in NO_MEMBERS:
                self._pass(header.size, header.size)
            elif header.kind in EXTENDED or header.kind in LONG_NAME:
                said |= self._said(header)
            else:
                self._pass_sparse_map(block)
                header, said = _told(header, said), {}
                if self._lies(header):
                    yield _faulty(LYING_SIZE if self._find() else TRUNCATED)
                    continue
                data = _Data(self._stream, header.size)
                yield _member(header, data)
                if data.broken:
                    return
                self._pass(data.left, header.size)

    def _lies(self, header: Header) -> bool:
        """Whether a member would reach over the end of the archive."""
        return self._size is not None and self._stream.tell() + header.size > self._size

    def _block(self) -> bytes:
        """The next block; nothing at the end."""
        block, self._found = self._found or self._stream.read(BLOCK), b""
        if 0 < len(block) < BLOCK:
            raise BrokenStream(TRUNCATED)
        return block

    def _find(self) -> bool:
        """Go to the next block that is a header; says whether there is one."""
        while len(block := self._stream.read(BLOCK)) == BLOCK:
            if block[257:262] == b"ustar" and _header(block):
                self._found = block
                return True
        return False

    def _pass(self, left: int, size: int) -> None:
        """Go over what is left of some data, and what fills its last block up."""
        while left:
            data = self._stream.read(min(left, BUFFER_BYTES))
            if not data:
                raise BrokenStream(TRUNCATED)
            left -= len(data)
        self._stream.read(-size % BLOCK)

    def _pass_sparse_map(self, block: bytes) -> None:
        """Go over the blocks that say where the holes of an old sparse member are."""
        more = block[156] in OLD_SPARSE and block[482]
        while more and (block := self._block()):
            more = block[504]

    def _said(self, header: Header) -> Mapping[str, str]:
        """What an extended header says of the member after it."""
        if header.size > EXTENDED_BYTES:
            self._pass(header.size, header.size)
            return {"fault": MALFORMED_HEADER}
        data = self._stream.read(header.size)
        if len(data) < header.size:
            raise BrokenStream(TRUNCATED)
        self._pass(0, header.size)
        if header.kind in LONG_NAME:
            return {"path": _text(data)}
        try:
            return dict(_keywords(data))
        except ValueError:
            return {"fault": MALFORMED_HEADER}


def _member(header: Header, data: _Data) -> Member:
    return Member(header.name, header.size, header.size, lambda: data, header.fault)


def _faulty(reason: str) -> Member:
    return Member("", 0, 0, io.BytesIO, reason)


def _header(block: bytes) -> Header | None:
    """What a block says as a header; None where it is none."""
    try:
        checksum, size = _number(block[148:156]), _number(block[124:136])
    except ValueError:
        return None
    if checksum != sum(block[:148]) + sum(block[156:]) + 8 * ord(" ") or size < 0:
        return None
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    name = _text(block[:100])
    return Header(block[156], f"{prefix}/{name}" if prefix else name, size)


def _told(header: Header, said: Mapping[str, str]) -> Header:
    """A header together with what extended headers say of the same member."""
    kind, name, fault = header.kind, said.get("path", header.name), said.get("fault")
    size = said.get("size", "")
    if kind in WITHOUT_DATA:
        return Header(kind, name, 0, WITHOUT_DATA[kind])
    if kind not in REGULAR:
        fault = fault or (SPARSE if kind in OLD_SPARSE else UNKNOWN_TYPE)
    elif kind == 0 and name.endswith("/"):  # as the first tar wrote folders
        fault = fault or FOLDER
    return Header(kind, name, int(size) if size.isascii() and size.isdigit() and len(size) < SIZE_DIGITS else header.size, fault)


def _keywords(data: bytes) -> Iterator[tuple[str, str]]:
    """What counts here of the lines "LENGTH KEYWORD=VALUE" of a pax header; raises ValueError for others."""
    place = 0
    while place < len(data):
        space = data.index(b" ", place, place + 20)
        end = place + int(data[place:space])
        keyword, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space or not equals or data[end - 1 : end] != b"\n":
            raise ValueError(data[place:space])
        if keyword in (b"path", b"size"):
            yield keyword.decode(), value.decode("utf-8", "surrogateescape")
        elif keyword.startswith(b"GNU.sparse."):
            yield "fault", SPARSE
        place = end


def _number(field: bytes) -> int:
    """An octal number, or a binary one where its first bit is set (-1 for those that no size can be); raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:]) if field[0] == 0x80 else -1
    return int(field.split(b"\0")[0].strip() or b"0", 8)


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")
