"""Records of forgotten documents: `forgotten/NUMBER.json` in a root, each written once, and honoured by every job.

A record says what was removed, when, on whose request and why, and which checkpoints had seen it. It holds ids, places and digests
of texts, and no text.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import Damaged
from pipeline.sources.base import Source
from pipeline.sources.catalogue import ListedFile, shown
from pipeline.sources.forgotten import Forgotten, location_of
from pipeline.storage import Store
from pipeline.workflow.artifact import as_utf8

FOLDER = "forgotten"


@dataclass(frozen=True, kw_only=True)
class Gone:
    """A forgotten document: its id, its place, its source, and the digest of its text."""

    id: str
    origin: str
    source: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """One request to forget, carried out."""

    at: str
    by: str
    reason: str
    how: str
    """What was asked for, such as "--match", without the words themselves."""
    documents: tuple[Gone, ...]
    spared: tuple[str, ...]
    """The ids of copies of the same texts that were not asked for."""
    seen_by: Any
    """Checkpoint → document id → the steps in which it was trained on; what could not be said is said in words."""
    remains_in: tuple[str, ...] = ()
    """What was made from the documents, directly or not, and is no text itself: tokenizers, models, samples."""

    def to_json(self) -> bytes:
        return as_utf8(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Tombstone":
        try:
            found = json.loads(data)
            found["documents"] = tuple(Gone(**document) for document in found["documents"])
            found["spared"] = tuple(found["spared"])
            found["remains_in"] = tuple(found["remains_in"])
            return cls(**found)
        except (ValueError, TypeError, KeyError) as problem:
            raise Damaged(f"{where} is no record of forgotten documents ({problem}): restore it, or they may come back") from problem


@dataclass(frozen=True)
class Tombstones:
    """All records of a root, oldest first."""

    records: tuple[Tombstone, ...] = ()

    def of(self, source: Source, files: Iterable[ListedFile] | None, known: int) -> Forgotten | None:
        """What to keep away of a part that was met first when `known` records were there: documents by their ids, and texts forgotten
        before that."""
        mine = {(location_of(gone.origin), gone.id) for record in self.records for gone in record.documents if gone.source == source.name}
        documents = mine if files is None else _in(files, mine)
        before = self.records[:known]
        texts = {gone.text for record in before for gone in record.documents}
        spared = {document_id for record in before for document_id in record.spared}
        if not documents and not texts:
            return None
        return Forgotten(documents=tuple(sorted(documents)), texts=tuple(sorted(texts)), spared=tuple(sorted(spared)))

    def of_all(self, source: Source) -> Forgotten | None:
        """What to keep away of a source that is met for the first time."""
        return self.of(source, None, len(self.records))


def _in(files: Iterable[ListedFile], documents: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """The documents, given by their locations and ids, that come from one of the files, or from a member of it."""
    wanted = {name for location, _ in documents for name in _names(location)}
    there = {name for file in files if (name := shown(file.path)) in wanted} if wanted else set[str]()
    return {(location, document_id) for location, document_id in documents if not there.isdisjoint(_names(location))}


def _names(location: str) -> list[str]:
    """What the file at a location may be called: names of files and of members may both hold the mark that parts them."""
    parts = location.split("!")
    return ["!".join(parts[:count]) for count in range(1, len(parts) + 1)]


def read_tombstones(store: Store) -> Tombstones:
    """The records of a root."""
    return Tombstones(tuple(Tombstone.from_json(store.get(entry.path), f"{store.url}/{entry.path}") for entry in store.list(FOLDER)))


def add_tombstone(store: Store, tombstone: Tombstone) -> str:
    """Write a record under the next number; returns its path."""
    number = len(list(store.list(FOLDER))) + 1
    while not store.put_new(path := f"{FOLDER}/{number:06d}.json", tombstone.to_json()):
        number += 1
    return path
