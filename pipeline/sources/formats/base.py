"""A format: how the bytes of one file become records. One file a format, and one line in `known.py`."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pipeline.sources.extraction.extractor import Extractor
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.streams import BrokenStream, open_stream, plain_copy

RECORD_BYTES = 64 << 20
"""No record may be larger: it has to fit into memory several times over."""
UNDECODABLE, TOO_LARGE, DAMAGED = "undecodable", "too-large", "damaged-file"


class Record(NamedTuple):
    """One record: its place in the file, its text as it was found (whatever its type), and its other fields."""

    place: int
    text: Any
    fields: Mapping[str, Any]
    member: str = ""
    """The file in an archive that it is a record of."""


class Bad(NamedTuple):
    """A record, or the rest of a file from this place on, that cannot be read, and why."""

    place: int
    reason: str
    member: str = ""


@dataclass(frozen=True)
class SourceFile:
    """A local file that a format reads: its compression is undone, within bounds, as its name says."""

    path: Path
    name: str
    """The name that says the format and the compression; the path of a fetched file may be another."""
    inspector: Inspector = field(default_factory=Inspector)
    extractor: Extractor = field(default_factory=Extractor)
    """Makes text of the pages in it."""

    @property
    def compression(self) -> str | None:
        return COMPRESSIONS.get(os.path.splitext(self.name.lower())[1])

    def open(self) -> io.BufferedReader:
        """The file's bytes as a buffered stream, to be closed; reading raises BrokenStream for damage and bombs."""
        return open_stream(self.path, self.compression)

    @contextmanager
    def plain(self) -> Iterator[Path]:
        """A file with the bytes uncompressed, for formats that are not read from front to back; may raise BrokenStream."""
        if self.compression is None:
            yield self.path
        else:
            with plain_copy(self.path, self.compression) as path:
                yield path


COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


class Format(ABC):
    """Base of all formats."""

    suffixes: ClassVar[tuple[str, ...]]
    """The names that it goes by, in lower case; each may be followed by one of COMPRESSIONS."""
    has_fields: ClassVar[bool] = True
    """Whether a record has named fields, one of which is its text."""
    sequential: ClassVar[bool] = True
    """Whether the first records can be had without a look at the whole file."""

    @abstractmethod
    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        """The records in order, holding few of them in memory; may raise BrokenStream."""

    def records(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        """The records in order; where the bytes break off, the rest of the file is one bad record."""
        place = -1
        try:
            for record in self.read(file, text_field):
                place = record.place
                yield record
        except BrokenStream as problem:
            yield Bad(place + 1, problem.reason)
