"""A source of documents: where text comes from, in which state, and how its records become documents."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.documents import Document, Dropped, document_id, is_utf_8, meta_json
from pipeline.errors import RequestError
from pipeline.sources.formats.base import Bad, Record
from pipeline.workflow.fingerprint import Json, canonical

NO_TEXT, NOT_A_STRING, EMPTY = "no-text", "text-not-a-string", "empty-text"
LONE_SURROGATE, TOO_DEEP = "lone-surrogate", "too-deep"
SHOWN_FIELDS = 12


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Base of all sources: a frozen, keyword-only dataclass. Two equal recipes name the same documents.

    A source is built by a class method `at(…)`, which looks at the world once and records its state as
    `snapshot`; it travels to workers by pickle, and fields marked `execution` tell them where to look.
    """

    snapshot: str
    """The state of the source as a digest or a revision: a part of its identity."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the `source` column says."""

    @abstractmethod
    def partitions(self) -> Sequence[Any]:
        """The units that it is read in, in a fixed order, each picklable."""

    @abstractmethod
    def read(self, partition: Any) -> Iterator[Document | Dropped]:
        """The records of a partition, in a fixed order: documents, and those that are quarantined with their reason.

        Raises RunError where the source is no longer in the state that `snapshot` says.
        """

    @property
    def seen(self) -> str:
        """What the `snapshot` column says: the state in which the documents were met first."""
        return self.snapshot

    def stands_for(self, partition: Any) -> Json:
        """What the documents of a partition depend on, besides the recipe without its snapshot."""
        return [self.snapshot, canonical(partition)]

    def may_hold(self, partition: Any, location: str) -> bool:  # noqa: ARG002 (only files can tell)
        """Whether a record of this location (an origin without its place) may come from a partition."""
        return True

    def check(self) -> None:  # noqa: B027 (most sources have nothing to check)
        """Raise RequestError for what can be seen to be wrong before anything is read."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """What lies in the source's place and is no record of it, counted by kind, for people to see."""
        return {}

    def settle(self, location: str, record: Record | Bad) -> Document | Dropped:
        """A record of the file or shard at `location` as a document, or as quarantined: the same rules for every container."""
        origin = f"{location}#{record.place}"
        if isinstance(record, Bad):
            return Dropped(document_id(origin, ""), origin, record.reason)
        text = record.text
        if reason := _fault(text):
            return Dropped(document_id(origin, ""), origin, reason)
        try:
            meta = meta_json(record.fields)
        except RecursionError:
            return Dropped(document_id(origin, ""), origin, TOO_DEEP)
        return Document(document_id(origin, text), text, self.name, origin, self.seen, meta)


def no_text_field(place: str, text_field: str, fields: Iterable[str]) -> RequestError:
    """The error for records that have fields, but not the one for the text."""
    names = list(fields)
    shown = f"{', '.join(names[:SHOWN_FIELDS])}{f' and {len(names) - SHOWN_FIELDS} more' if len(names) > SHOWN_FIELDS else ''}"
    return RequestError(f"{place} has no field {text_field!r}, only {shown}: name the one with the text as text_field")


def _fault(text: Any) -> str | None:
    """Why a record's text is no text; None where it is."""
    if text is None:
        return NO_TEXT
    if not isinstance(text, str):
        return NOT_A_STRING
    if not text:
        return EMPTY
    return None if is_utf_8(text) else LONE_SURROGATE
