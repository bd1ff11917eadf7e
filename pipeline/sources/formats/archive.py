"""Archives: each file in one that is in a known format is read as that format is.

Nothing is written to where an archive says: a member is copied to a temporary file, and its name is only shown.
What comes out of a member, and of all of them, is bounded by what went in, that of compressed members included.
The origin of a record is ARCHIVE!MEMBER#place, where MEMBER has no ! and no # in it; a member that cannot be read
at all is ARCHIVE#number, from 0. Directories, hidden files and files in no known format are no documents, as in a
folder; how many there were is logged.
"""

import logging
import tempfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.sources.formats.base import COMPRESSIONS, TOO_LARGE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.streams import BOMB, BUFFER_BYTES, EXPANSION, BrokenStream, byte_limit, open_stream

UNSAFE_PATH, LINK, DEVICE, NESTED, DUPLICATE = "unsafe-path", "link", "device", "nested-archive", "duplicate-member"
TOO_MANY, LYING_SIZE = "too-many-members", "lying-size"
MEMBERS, NAME_CHARACTERS = 1_000_000, 4096
MEMBER_BYTES = 4 << 30
FREE_MEMBER_BYTES = 64 << 20
"""What may come out of a member, however little of the archive it is."""
FOLDER, HIDDEN, UNKNOWN = "folder", "hidden", "in no known format"
ESCAPED = "!#\\"
PASSED = frozenset({FOLDER, HIDDEN, UNKNOWN})
"""What is no document, and not lost."""
log = logging.getLogger(__name__)


class Member(NamedTuple):
    """A thing in an archive: its name, the bytes that it is said to have, and those that it has in the archive."""

    name: str
    bytes: int
    packed: int
    open: Callable[[], Any]
    """Its bytes as a stream, to be read before the next member."""
    fault: str | None = None
    """Why it cannot be read; FOLDER for one."""


class Archive(Format):
    """Base of the archive formats; `format_of` says which format a member is in."""

    has_fields = False

    def __init__(self, format_of: Callable[[str], Format | None]) -> None:
        self._format_of = format_of

    @abstractmethod
    def members(self, file: SourceFile) -> Iterator[Member]:
        """The members in order; may raise BrokenStream."""

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        """The records of all members; where the archive breaks off, the rest of it is one bad record."""
        allowance, number = _Allowance(file.path), -1
        seen, passed = set[str](), Counter[str]()
        try:
            for number, member in enumerate(self.members(file)):
                inner = self._format_of(member.name)
                fault = member.fault or _unsafe(member.name) or _passed(member.name, inner) or _unwanted(member, inner, seen)
                if number == MEMBERS:
                    raise BrokenStream(TOO_MANY)
                if fault in PASSED:
                    passed[fault] += 1
                elif fault:
                    yield Bad(number, fault)
                elif inner:
                    seen.add(member.name)
                    yield from _records(number, member, inner, file, text_field, allowance)
        except BrokenStream as problem:
            yield Bad(number + 1, problem.reason)
        passed.pop(FOLDER, 0)
        if passed:
            log.warning("%s: passed over: %s", file.name, ", ".join(f"{count} {kind}" for kind, count in sorted(passed.items())))


def _unsafe(name: str) -> str | None:
    """UNSAFE_PATH for a name that would lead out of the folder that the archive is unpacked in, on any system."""
    parts = name.replace("\\", "/").split("/")
    absolute = parts[0] == "" or parts[0][1:2] == ":"
    return UNSAFE_PATH if absolute or ".." in parts or "\0" in name or len(name) > NAME_CHARACTERS else None


def _passed(name: str, inner: Format | None) -> str | None:
    """Why a file would not be read if it lay in a folder."""
    if any(part.startswith(".") and part != "." for part in name.split("/")):
        return HIDDEN
    return UNKNOWN if inner is None else None


def _unwanted(member: Member, inner: Format | None, seen: set[str]) -> str | None:
    if isinstance(inner, Archive):
        return NESTED
    if member.name in seen:
        return DUPLICATE
    return TOO_LARGE if member.bytes > MEMBER_BYTES else None


class _Allowance:
    """The bytes that may still come out of an archive."""

    def __init__(self, path: Path) -> None:
        self._left = byte_limit(path)

    @contextmanager
    def copied(self, source: Any, packed: int) -> Iterator[Path]:
        """A temporary file with the bytes of a stream; raises BrokenStream where they are more than may come of `packed` bytes."""
        room = max(FREE_MEMBER_BYTES, EXPANSION * packed)
        with tempfile.NamedTemporaryFile(prefix="millrace-") as copy:
            while data := source.read(BUFFER_BYTES):
                room -= len(data)
                self._left -= len(data)
                if min(room, self._left) < 0:
                    raise BrokenStream(BOMB)
                copy.write(data)
            copy.flush()
            yield Path(copy.name)


def _records(
    number: int, member: Member, inner: Format, file: SourceFile, text_field: str, allowance: _Allowance
) -> Iterator[Record | Bad]:
    """The records of a member; one bad record where its bytes cannot be had."""
    shown = _shown(member.name)
    try:
        with _plain(member, allowance) as (path, name):
            for record in inner.records(SourceFile(path, name, file.inspector, file.extractor), text_field):
                yield record._replace(member=shown)
    except BrokenStream as problem:
        yield Bad(number, problem.reason)


@contextmanager
def _plain(member: Member, allowance: _Allowance) -> Iterator[tuple[Path, str]]:
    """A member as a file that is not compressed, and the name that says its format; raises BrokenStream."""
    with member.open() as source, allowance.copied(source, member.packed) as path:
        size = path.stat().st_size
        if size != member.bytes:
            raise BrokenStream(LYING_SIZE)
        stem, _, suffix = member.name.rpartition(".")
        compression = COMPRESSIONS.get(f".{suffix.lower()}")
        if compression is None:
            yield path, member.name
        else:
            with open_stream(path, compression) as stream, allowance.copied(stream, size) as plain:
                yield plain, stem


def _shown(name: str) -> str:
    """A member's name on one line, without the signs that an origin is made with; no two names are shown alike."""
    return "".join(sign if sign.isprintable() and sign not in ESCAPED else f"\\u{{{ord(sign):x}}}" for sign in name)
