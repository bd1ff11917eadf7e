"""Documents that are to stay away: forgotten by their ids and, where the same text comes again later, by its digest."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from pipeline.documents import Document

FORGOTTEN = "forgotten"


def text_digest(text: str) -> str:
    """128 bits of a text as it was read, in hexadecimal digits; white space counts as one space, and at the ends not at all."""
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def location_of(origin: str) -> str:
    """An origin without the record's place."""
    return origin.rpartition("#")[0]


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What of a source is forgotten.

    `documents` are (location, id) pairs. `texts` are digests of texts that do not come back under another name: a document with
    one of them is forgotten too, but for those that are `spared`, which were copies of it at the time and are decided on again.
    """

    documents: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()

    def holds(self, document: Document) -> bool:
        """Whether a document is forgotten."""
        if document.id in self._ids:
            return True
        return bool(self._texts) and text_digest(document.text) in self._texts and document.id not in self._spared

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(document_id for _, document_id in self.documents)

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(self.texts)

    @cached_property
    def _spared(self) -> frozenset[str]:
        return frozenset(self.spared)
