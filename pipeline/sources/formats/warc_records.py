"""WARC records (ISO 28500), one after the other, from bytes that may be broken, cut off or lying.

A record ends where its Content-Length says, if the next one begins there; else its length is a lie, and the next
record is looked for: so a broken record never takes its neighbours with it. That is why the records are told apart
here, and not by FastWARC, which stops at damage or passes over what follows it; on sound files both find the same.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from pipeline.sources.formats.base import RECORD_BYTES, TOO_LARGE, SourceFile
from pipeline.sources.formats.members import Stretches
from pipeline.sources.formats.streams import TRUNCATED, BrokenStream

START = b"WARC/1."
VERSION_BYTES = len(START) + 1
HEAD_BYTES = 64 << 10
"""What the header of a record may have at most."""
LENGTH_DIGITS = 20
GIVEN_BACK_BYTES = 4 * RECORD_BYTES
"""What is read a second time at most of a stretch, where records swallow others."""
MALFORMED_HEADER, LYING_LENGTH = "malformed-header", "lying-length"


class WarcRecord(NamedTuple):
    """A record's header (names in lower case) and content; `fault` says why it is broken, and what there is of it then."""

    headers: Mapping[str, str]
    content: bytes
    fault: str | None = None


def warc_records(file: SourceFile) -> Iterator[WarcRecord]:
    """All records of a file, of every type, the broken ones among them."""
    with _stretches(file) as stretches:
        for stretch in stretches:
            yield from _Stretch(stretch).records()


@contextmanager
def _stretches(file: SourceFile) -> Iterator[Iterator[io.BufferedReader]]:
    if file.compression is None:
        with file.open() as stream:
            yield iter([stream])
    else:
        with Stretches(file.path, file.compression, START) as stretches:
            yield stretches


class _Stretch:
    """The records of a stream, which takes back what was read too far."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._back = io.BytesIO()
        self._patience = GIVEN_BACK_BYTES
        self._break: BrokenStream | None = None

    def records(self) -> Iterator[WarcRecord]:
        """The records up to the end, or to where the bytes break off."""
        headers: Mapping[str, str] = {}
        try:
            while line := self._after_blank_lines():
                if line.startswith(START):
                    headers = parsed(self._head())
                    yield self._record(headers)
                    if self._break:
                        raise self._break
                else:
                    self._give_back(line)
                    self._find()
                    yield WarcRecord({}, b"", MALFORMED_HEADER)
                headers = {}
        except BrokenStream as problem:
            yield WarcRecord(headers, b"", problem.reason)

    def _record(self, headers: Mapping[str, str]) -> WarcRecord:
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < LENGTH_DIGITS):
            self._find()
            return WarcRecord(headers, b"", MALFORMED_HEADER)
        if int(length) > RECORD_BYTES:
            return WarcRecord(headers, self._own(self._read(HEAD_BYTES)), TOO_LARGE)
        content = self._read(int(length))
        line = self._next_start()
        if len(content) == int(length) and (not line or line.startswith(START)):
            return WarcRecord(headers, content)
        own = self._own(content)
        return WarcRecord(headers, own, TRUNCATED if not line and own == content else LYING_LENGTH)

    def _next_start(self) -> bytes:
        """The line after a record, which is still to be read; nothing at the end, or where the bytes break off after it."""
        blank = b""
        try:
            while (line := self._line()) and not line.strip():
                blank = line
        except BrokenStream as problem:
            self._break = problem
            return b""
        self._give_back(blank + line)
        return line

    def _own(self, content: bytes) -> bytes:
        """What is surely of a record where its length is wrong; goes to the next one, which may begin in its content."""
        place = _start_in(content)
        self._give_back(content[place if place >= 0 else -VERSION_BYTES :])
        self._find()
        return content[:place] if place >= 0 else content

    def _head(self) -> bytes:
        """The lines of a header; nothing where they are too many, or another record begins in them."""
        head = io.BytesIO()
        while (line := self._line()).strip():
            if (place := _start_in(line)) >= 0:
                self._give_back(line[place:])
                return b""
            head.write(line)
            if head.tell() > HEAD_BYTES:
                return b""
        return head.getvalue()

    def _find(self) -> None:
        """Go to where the next record begins."""
        while line := self._line():
            if (place := _start_in(line)) >= 0:
                self._give_back(line[place:])
                return

    def _after_blank_lines(self) -> bytes:
        while line := self._line():
            if line.strip():
                break
        return line

    def _line(self) -> bytes:
        line = self._back.readline(HEAD_BYTES)
        return line if line.endswith(b"\n") or len(line) == HEAD_BYTES else line + self._stream.readline(HEAD_BYTES - len(line))

    def _read(self, size: int) -> bytes:
        content = self._back.read(size)
        return content + self._stream.read(size - len(content)) if len(content) < size else content

    def _give_back(self, data: bytes) -> None:
        """Read these bytes, which were read last, once more; raises BrokenStream where that has been too much already."""
        place = self._back.tell() - len(data)
        self._patience -= max(0, len(data) - HEAD_BYTES)
        if self._patience < 0:
            raise BrokenStream(LYING_LENGTH)
        if place >= 0 and self._back.getbuffer()[place : place + len(data)] == data:
            self._back.seek(place)
            return
        rest = self._back.read()
        self._patience -= len(rest)
        self._back = io.BytesIO(data + rest)


def _start_in(data: bytes) -> int:
    """Where a record begins in some bytes, with or without a line's end before it; -1 where none does."""
    place = data.find(START)
    while place >= 0 and data[place + VERSION_BYTES : place + VERSION_BYTES + 1] not in (b"\r", b"\n"):
        place = data.find(START, place + 1)
    return place


def parsed(head: bytes) -> Mapping[str, str]:
    """The fields of a header of WARC or HTTP; values of the same name are joined, and lines that begin with space go on with the last."""
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in head.decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and values:
            values[-1] += f" {line.strip()}"
        elif colon:
            values = fields.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    return {name: ", ".join(values) for name, values in fields.items()}
