"""The embedded default corpus: source and documentation of the Python that runs; real text that is on every machine."""

import platform
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pipeline.documents import Document, Dropped
from pipeline.errors import RequestError
from pipeline.sources.base import Source
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.formats.base import Record, SourceFile
from pipeline.sources.formats.text import Text
from pipeline.sources.listing import Listing, changed, unchanged, units, walk, weigh

SUFFIXES = Text.suffixes
SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__"})
TOPICS = "pydoc_data/topics.py"
"""A file that holds the language reference as one dictionary: each of its topics is a document."""


@dataclass(frozen=True, kw_only=True)
class PythonLibrary(Source):
    """The standard library's modules and texts, a document a file, and each topic of its language reference.

    `origin` is "python-3.11.7/json/decoder.py#0", whatever folder it lies in.
    """

    @classmethod
    def at(cls) -> "PythonLibrary":
        """The library as it is here; raises RequestError where this Python has none as files."""
        listing = _list()
        source = cls(snapshot=listing.snapshot)
        source.__dict__["listing"] = listing
        return source

    @property
    def name(self) -> str:
        return f"python-{platform.python_version()}"

    @cached_property
    def listing(self) -> Listing:
        listing = _list()
        if listing.snapshot != self.snapshot:
            raise changed(self.name)
        return listing

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "listing"}

    def partitions(self) -> Sequence[tuple[ListedFile, ...]]:
        return units(self.listing.files)

    def read(self, partition: tuple[ListedFile, ...]) -> Iterator[Document | Dropped]:
        for file in partition:
            location = f"{self.name}/{file.path}"
            with unchanged(file, Path(_folder(), file.path)) as path:
                if file.path == TOPICS:
                    yield from self._topics(location)
                else:
                    for record in Text().records(SourceFile(path, file.path), ""):
                        yield self.settle(location, record)

    def _topics(self, location: str) -> Iterator[Document | Dropped]:
        from pydoc_data.topics import topics

        for place, (topic, text) in enumerate(sorted(topics.items())):
            yield self.settle(location, Record(place, text, {"topic": topic}))


@cache
def _folder() -> str:
    return sysconfig.get_path("stdlib")


def _list() -> Listing:
    named = (file for file in walk(_folder(), SKIPPED) if file[0].endswith(SUFFIXES))
    files = Catalogue.of(file for file in weigh(named) if file.bytes)
    if not files:
        raise RequestError(f"this Python has no library as files in {_folder()}: give sources of your own")
    return Listing("", files)
