"""Files at one location as a user gives it: a file, a folder, a glob, s3://… or https://…."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import PurePath
from typing import Any

from pipeline.documents import Document, Dropped
from pipeline.errors import RequestError
from pipeline.sources.base import Source, no_text_field
from pipeline.sources.catalogue import Catalogue, ListedFile, shown
from pipeline.sources.extraction.extractor import Extractor
from pipeline.sources.extraction.extractors import EXTRACTORS, ExtractorName
from pipeline.sources.formats.base import Format, Record, SourceFile
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.known import format_of
from pipeline.sources.listing import Listing, changed, kinds_of, units
from pipeline.sources.places import LocalPlace, ObjectPlace, Place
from pipeline.sources.web import WebPlace, without_secrets
from pipeline.workflow.fingerprint import Json, canonical

OBJECT_SCHEMES = ("s3://", "gs://", "az://", "abfss://")
WEB_SCHEMES = ("http://", "https://")
TRIED_RECORDS, TRIED_BYTES = 5, 64 << 20
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """The readable files at a location, in order of their names. Made by `Files.at`.

    The format of each follows from its name. In a folder, hidden files and those in no known format are left
    out, and counted. `origin` is the file as the user would name it, and the record's place in it.
    """

    location: str
    text_field: str = "text"
    """The field of a record that holds its text; the others become `meta`."""
    extractor: ExtractorName = "resiliparse"
    """What makes text of web pages."""
    place: Place = field(metadata={"identity": False})
    """Where the location is to be looked for; no part of the identity."""
    first_seen: str = ""
    """The state of the location in which these files were met first, where this is not the one in `snapshot`."""

    def __post_init__(self) -> None:
        if not self.text_field:
            raise RequestError("text_field is empty: name the field of a record that holds its text")
        if self.extractor not in EXTRACTORS:
            raise RequestError(f"extractor is {self.extractor!r}: give one of {', '.join(EXTRACTORS)}")

    @classmethod
    def at(cls, location: str, text_field: str = "text", extractor: ExtractorName = "resiliparse") -> "Files":
        """Look at a location and record its state; raises RequestError where there is nothing that can be read."""
        location, place = _place(location)
        listing = place.list()
        source = cls(location=shown(location), text_field=text_field, extractor=extractor, place=place, snapshot=listing.snapshot)
        source.__dict__["listing"] = listing
        if listing.left_out:
            kinds = kinds_of(listing.left_out)
            log.warning("%s: %d files to read; left out for their format: %s", location, len(listing.files), kinds)
        return source

    @property
    def name(self) -> str:
        return self.location

    @property
    def seen(self) -> str:
        return self.first_seen or self.snapshot

    def stands_for(self, partition: Any) -> Json:
        return canonical(partition)

    def may_hold(self, partition: Any, location: str) -> bool:
        return any(location == (name := shown(file.path)) or location.startswith(f"{name}!") for file in partition)

    def among(self, files: Catalogue, first_seen: str) -> "Files":
        """Some of the listed files, as a source: those that were met first in one state of the location."""
        if first_seen == self.snapshot and files == self.listing.files:
            return self
        listing = Listing(self.listing.location, files)
        source = replace(self, snapshot=listing.snapshot, first_seen="" if first_seen == listing.snapshot else first_seen)
        source.__dict__["listing"] = listing
        return source

    @cached_property
    def listing(self) -> Listing:
        listing = self.place.list()
        if listing.snapshot != self.snapshot:
            raise changed(self.location)
        return listing

    def __getstate__(self) -> dict[str, Any]:
        """A worker has its files from its partition: the listing of all of them stays here."""
        return {name: value for name, value in self.__dict__.items() if name != "listing"}

    @property
    def left_out(self) -> Mapping[str, int]:
        return self.listing.left_out

    def partitions(self) -> Sequence[tuple[ListedFile, ...]]:
        return units(self.listing.files)

    def read(self, partition: tuple[ListedFile, ...]) -> Iterator[Document | Dropped]:
        with closing(Inspector()) as inspector, closing(Extractor(self.extractor)) as extractor:
            for file in partition:
                location = shown(file.path)
                with self.place.lend(file) as path:
                    for record in _format(file).records(SourceFile(path, file.path, inspector, extractor), self.text_field):
                        yield self.settle(f"{location}!{record.member}" if record.member else location, record)

    def check(self) -> None:
        """Raise RequestError where the first records of the first file that has fields lack the one for the text."""
        file = next((file for file in self.listing.files if _format(file).has_fields), None)
        if file is None or not isinstance(self.place, LocalPlace) or (not _format(file).sequential and file.bytes > TRIED_BYTES):
            return
        with closing(Inspector()) as inspector:
            records = _format(file).records(SourceFile(self.place.path(file.path), file.path, inspector), self.text_field)
            self._require_text(file, list(islice(records, TRIED_RECORDS)))

    def _require_text(self, file: ListedFile, records: Sequence[Any]) -> None:
        names = dict.fromkeys(name for record in records if isinstance(record, Record) for name in record.fields)
        if names and all(isinstance(record, Record) and record.text is None for record in records):
            raise no_text_field(shown(file.path), self.text_field, names)


def _format(file: ListedFile) -> Format:
    known = format_of(file.path)
    assert known is not None, "only files in known formats are listed"
    return known


def _place(location: str) -> tuple[str, Place]:
    """A location as it is recorded, and where it is."""
    if location.startswith(WEB_SCHEMES):
        return without_secrets(location), WebPlace(location)
    if location.startswith(OBJECT_SCHEMES):
        location = location.rstrip("/")
        return location, ObjectPlace(location)
    if not location:
        raise RequestError("a source's location is empty: give a file, a folder, a glob or an address")
    location = str(PurePath(location.removeprefix("file://")))
    return location, LocalPlace(location, os.getcwd())
