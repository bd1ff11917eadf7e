"""RemoveRepeats: what an earlier kept document has already is removed, passage by passage.

note (a shard) → match (a range of digests) → decide → part (a shard)

The order is (place in `documents`, shard, row, place in the text). Equal passages are held by the earliest one that is in a kept document;
the others are removed, but for those that overlap their holder. A document that would thereby be left with too little is dropped
as a whole and holds nothing, so that what only it had before is kept where it comes next. Decisions look only at what came before:
appending documents never changes an earlier one. Equal passages have equal digests of 128 bits, and others have not.

Which documents hold something may hang on a chain of decisions through all inputs, so one unit decides on all. It is given only the
passages that are repeats (16 bytes each, of one shard at a time), and holds 8 bytes for each group of equal ones, for each document
and for each span that goes. Every other unit holds a batch of documents, what was noted of a shard's passages (52 bytes each, which
is also what they take as scratch), or PASSAGES_A_UNIT digests (about 60 bytes each).
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from pipeline.dedup.inputs import Shard, shards_of
from pipeline.documents import KEPT, SCHEMA, Documents, total, write_dropped, write_tables
from pipeline.errors import RequestError
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.fingerprint import Json
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    from pipeline.dedup.passages import Noted, Passages
    from pipeline.dedup.repeats import Range

PASSAGES_A_UNIT = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What was noted of all shards, the repeats of each range of digests, and how many groups each has."""

    shards: tuple[Shard, ...]
    noted: "tuple[Noted, ...]"
    firsts: tuple[int, ...]
    """The number of each shard's first passage."""
    repeats: tuple[FileEntry, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The spans that kept documents lose, a batch a shard; the verdicts on those that are dropped; a digest of both for each shard."""

    spans: FileEntry
    verdicts: FileEntry
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Parted:
    """A shard, the file and the batch with its cuts, all verdicts, and a digest of what is decided on this shard."""

    shard: Shard
    cuts: FileEntry
    batch: int
    verdicts: FileEntry
    digest: str


@dataclass(frozen=True, kw_only=True)
class RemoveRepeats(Step[Documents]):
    """Base of the steps that remove passages.

    `remain` is the least share of a document that must be left, or it is dropped; it is counted in visible bytes (ink), and
    what the document repeats of itself is no part of it. With 0, it is dropped only where nothing is left to be seen.
    In the ledger stand the kept document that holds most of it, and the share of it that others hold. The facts tell as
    `removed` by source how many of the kept documents were cut, and how many passages and characters they lost.
    """

    artifact: ClassVar[type[Documents]] = Documents
    reason: ClassVar[str]

    documents: tuple[Step[Documents], ...]
    remain: float = 0.2

    def __post_init__(self) -> None:
        if not isinstance(self.documents, tuple) or not self.documents:
            raise RequestError(f"documents is {self.documents!r}, not a tuple of steps: write (step,) for one")
        if not 0 <= self.remain <= 1:
            raise RequestError(f"remain is {self.remain}: use a share between 0 and 1")

    @abstractmethod
    def passages(self, texts: pa.LargeStringArray) -> "Passages":
        """The passages of a batch of texts."""

    def run(self, context: Context) -> Facts:
        matched = self._match(context, tuple(shards_of(context, self.documents)))
        (concluded,) = context.map(self.decide, [matched])
        spans, verdicts = concluded.scratch
        decided = Decided(spans=spans, verdicts=verdicts, digests=tuple(concluded.facts["digests"]))
        parted = list(context.map(self.part, self.parts(context, matched, decided), stands_for=self._stands_for))
        return self._total([receipt.facts for receipt in parted])

    def _match(self, context: Context, shards: tuple[Shard, ...]) -> Matched:
        from pipeline.dedup.passages import noted
        from pipeline.dedup.repeats import ranges

        receipts = list(context.map(self.note, shards))
        firsts = tuple(accumulate((receipt.facts["passages"] for receipt in receipts), initial=0))
        found = tuple(noted(receipt.scratch) for receipt in receipts)
        chosen = ranges(tuple(shard.digests for shard in found), firsts[:-1], firsts[-1], PASSAGES_A_UNIT)
        repeats = list(context.map(self.match, chosen))
        return Matched(
            shards=shards,
            noted=found,
            firsts=firsts[:-1],
            repeats=tuple(receipt.scratch[0] for receipt in repeats),
            groups=tuple(receipt.facts["groups"] for receipt in repeats),
        )

    def parts(self, context: Context, matched: Matched, decided: Decided) -> list[Parted]:  # noqa: ARG002 - for those that have more to do
        """What is to be parted, once the cuts are final."""
        return [
            Parted(shard=shard, cuts=decided.spans, batch=number, verdicts=decided.verdicts, digest=digest)
            for number, (shard, digest) in enumerate(zip(matched.shards, decided.digests, strict=True))
        ]

    def _stands_for(self, part: Parted) -> Json:
        return [part.shard.entry.checksum, part.digest]

    def _total(self, facts: Sequence[Facts]) -> Facts:
        from pipeline.dedup.cuts import total_removed

        removed = ({source: Counter(counts) for source, counts in part["removed"].items()} for part in facts)
        return {**total(facts), "removed": total_removed(removed)}

    def note(self, unit: Unit, shard: Shard) -> Facts:
        """The digests and places of a shard's passages."""
        from pipeline.dedup.passages import note

        batches = unit.open(self.documents[shard.source]).batches(shard.entry, ("id", "text"))
        return {"passages": note(unit, ((batch["id"], self.passages(batch["text"])) for batch in batches))}

    def match(self, unit: Unit, chosen: "Range") -> Facts:
        """The passages in a range of digests that are repeats."""
        from pipeline.dedup.repeats import REPEATS, repeats
        from pipeline.dedup.scratch import write_scratch

        found = repeats(unit, chosen)
        write_scratch(unit, "repeats", REPEATS, [found])
        return {"groups": found["group"].to_numpy().max(initial=-1).item() + 1}

    def decide(self, unit: Unit, matched: Matched) -> Facts:
        """What every document loses, and which are dropped."""
        from pipeline.dedup.losses import SPANS, Deciding
        from pipeline.dedup.repeats import read_groups
        from pipeline.dedup.scratch import write_scratch
        from pipeline.dedup.verdicts import FINAL_VERDICTS, digests

        groups = read_groups(unit, matched.repeats, matched.groups)
        deciding = Deciding(unit=unit, shards=matched.noted, groups=groups, remain=self.remain, reason=self.reason)
        write_scratch(unit, "spans", SPANS, deciding.spans())
        verdicts = deciding.verdicts()
        write_scratch(unit, "verdicts", FINAL_VERDICTS, verdicts.to_batches())
        dropped = digests(verdicts, [(shard.first, shard.count) for shard in matched.shards])
        return {"digests": [f"{cut}-{drop}" for cut, drop in zip(deciding.digests, dropped, strict=True)]}

    def part(self, unit: Unit, parted: Parted) -> Facts:
        """Write what a shard keeps, without what it loses, and the ledger of what it drops."""
        from pipeline.dedup.cuts import Cutting, read_batch
        from pipeline.dedup.scratch import read_scratch
        from pipeline.dedup.verdicts import Parting, verdicts_on

        shard = parted.shard
        cutting = Cutting(read_batch(unit, parted.cuts, parted.batch), shard.first)
        parting = Parting(verdicts_on(read_scratch(unit, parted.verdicts), shard.first, shard.count), shard.first)
        batches = unit.open(self.documents[shard.source]).batches(shard.entry)
        write_tables(unit, KEPT, SCHEMA, parting.kept(cutting.cut(batches)))
        write_dropped(unit, parting.ledger)
        return {**parting.tally.facts(), "removed": cutting.facts()}
