"""What the units of each phase of deduplication are given, and what is kept of a step for the next one."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.dedup.inputs import Shard
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.receipt import Receipt

GATHERED = 256
"""Documents that a unit gathers at least, if need be from several shards."""


class Part(NamedTuple):
    """A part of the range of keys: those that leave `number` when divided by `parts`."""

    number: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Some of the keys of all sketches: those of some bands (or the exact ones), in one part of their range."""

    sketches: tuple[FileEntry, ...]
    part: Part
    bands: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What was found out about the first documents: which are copies, the clusters that they are in, and what was decided on these."""

    copies: FileEntry
    roots: FileEntry | None
    decisions: FileEntry | None
    sketches: int
    """How many sketches it was found out from."""
    digest: str
    """A digest of these."""

    @classmethod
    def of(cls, receipt: Receipt | None) -> "Earlier | None":
        """What a step has left; None for none, and for what does not say what it is about."""
        files = {entry.kind: entry for entry in receipt.files} if receipt else {}
        if receipt is None or "copies" not in files or receipt.facts.keys() != {"sketches", "digest"}:
            return None
        return cls(copies=files["copies"], roots=files.get("roots"), decisions=files.get("decisions"), **receipt.facts)

    def begins(self, sketches: Sequence[FileEntry]) -> bool:
        """Whether it is about the first of these sketches."""
        return self.facts(sketches[: self.sketches]) == {"sketches": self.sketches, "digest": self.digest}

    @staticmethod
    def facts(sketches: Sequence[FileEntry]) -> dict[str, Any]:
        """What says which sketches something was found out from."""
        digest = hashlib.sha256("".join(entry.checksum for entry in sketches).encode()).hexdigest()
        return {"sketches": len(sketches), "digest": digest}


@dataclass(frozen=True, kw_only=True)
class Later:
    """The keys of all sketches, where all is known of the documents before the number `since`."""

    sketches: tuple[FileEntry, ...]
    since: int
    copies: FileEntry
    roots: FileEntry | None
    """Edges that make the clusters of these, where near-duplicates are looked for."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What the clusters are made from."""

    sketches: tuple[FileEntry, ...]
    copies: tuple[FileEntry, ...]
    edges: tuple[FileEntry, ...]
    decisions: FileEntry | None
    """What was decided before, on these or other clusters."""
    firsts: tuple[int, ...]
    """The number of each shard's first document."""


@dataclass(frozen=True, kw_only=True)
class Sketched:
    """A shard and its sketch."""

    shard: Shard
    sketch: FileEntry


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """Neighbouring shards whose documents with candidates are to be brought to their bins."""

    shards: tuple[Sketched, ...]
    members: FileEntry


def gatherings(shards: Sequence[Sketched], counts: Sequence[int], members: FileEntry) -> Iterator[Gathering]:
    """The shards that have documents with candidates, so many each, in groups of at least GATHERED documents."""
    group, size = list[Sketched](), 0
    for shard, count in zip(shards, counts, strict=True):
        if count:
            group.append(shard)
            size += count
        if size >= GATHERED:
            yield Gathering(shards=tuple(group), members=members)
            group, size = [], 0
    if group:
        yield Gathering(shards=tuple(group), members=members)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """All that was found out, to be put together."""

    shards: tuple[Shard, ...]
    copies: tuple[FileEntry, ...]
    roots: FileEntry | None = None
    members: FileEntry | None = None
    keys: FileEntry | None = None
    near: tuple[FileEntry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Parted:
    """A shard, all verdicts, and a digest of those on this shard."""

    shard: Shard
    verdicts: FileEntry
    digest: str
