"""DeduplicateSubstrings: long stretches of text that an earlier kept document has already are removed.

note (a shard) → match (a range of digests) → decide → ask → quote (a shard) → extend (a shard) → part (a shard)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from pipeline.dedup.inputs import Shard
from pipeline.dedup.remove_repeats import Decided, Matched, Parted, RemoveRepeats
from pipeline.errors import RequestError
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Context, Facts
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    from pipeline.dedup.passages import Noted, Passages

LEAST_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Quoting:
    """A shard, the number of its first passage, what was noted of its passages, and what is asked for of all shards."""

    shard: Shard
    first: int
    noted: "Noted"
    before: FileEntry
    after: FileEntry


@dataclass(frozen=True, kw_only=True)
class Extended:
    """A shard whose spans are to be extended; the file and the batch with its spans, and all quotes before and after holders."""

    shard: Shard
    spans: FileEntry
    batch: int
    before: tuple[FileEntry, ...]
    after: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class DeduplicateSubstrings(RemoveRepeats):
    """The documents of all inputs without what stands earlier over `length` bytes and more (see `RemoveRepeats`).

    What goes lies in stretches of `length` bytes or more, each of which an earlier kept document had as it came, or the same one
    at least `length` bytes before. Such a stretch is found by windows of `length` bytes (see `windows`), and goes as far as both texts
    go on alike, up to half of `length` on either side, but never through a character. No stretch of 1.5 times `length` that an earlier
    kept document had stays whole; of shorter ones some are found, some not, the same ones everywhere. The share that `remain`
    is compared with counts windows only. Where nothing to be seen would be left of a kept document, its cuts end with the windows.

    200 bytes are about 35 English words or 66 Han characters, near the 50 tokens of Lee et al. (2022), whose suffix array this stands for.
    """

    reason: ClassVar[str] = "repeated-substrings"

    length: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length < LEAST_LENGTH:
            raise RequestError(f"length is {self.length}: use {LEAST_LENGTH} bytes or more, such as 200")

    def passages(self, texts: pa.LargeStringArray) -> "Passages":
        from pipeline.dedup.shingles import text_buffers
        from pipeline.dedup.windows import window_passages

        return window_passages(text_buffers(texts), self.length)

    def parts(self, context: Context, matched: Matched, decided: Decided) -> list[Parted]:
        (asked,) = context.map(self.ask, [decided.spans])
        left, right = asked.scratch
        quoting = [
            Quoting(shard=shard, first=first, noted=noted, before=left, after=right)
            for shard, first, noted in zip(matched.shards, matched.firsts, matched.noted, strict=True)
        ]
        quoted = [receipt.scratch for receipt in context.map(self.quote, quoting)]
        before, after = (tuple(scratch[side] for scratch in quoted) for side in (0, 1))
        extending = [
            Extended(shard=shard, spans=decided.spans, batch=number, before=before, after=after)
            for number, shard in enumerate(matched.shards)
        ]
        extended = context.map(self.extend, extending)
        return [
            Parted(shard=shard, cuts=receipt.scratch[0], batch=0, verdicts=decided.verdicts, digest=f"{receipt.facts['digest']}-{digest}")
            for shard, receipt, digest in zip(matched.shards, extended, decided.digests, strict=True)
        ]

    def ask(self, unit: Unit, spans: FileEntry) -> Facts:
        """The holders at both ends of all spans, so that each shard finds its own."""
        from pipeline.dedup.quotes import ASKED, asked
        from pipeline.dedup.scratch import read_scratch, write_scratch

        for end in ("first_holder", "last_holder"):
            write_scratch(unit, end, ASKED, [asked(read_scratch(unit, spans), end)])
        return {}

    def quote(self, unit: Unit, quoting: Quoting) -> Facts:
        """What stands before and after the passages that a shard holds and others lose."""
        from pipeline.dedup.quotes import QUOTES, wanted
        from pipeline.dedup.scratch import write_scratch
        from pipeline.dedup.windows import reach

        sides = wanted(unit, quoting.noted, quoting.first, quoting.before, quoting.after, reach(self.length))
        for name, side in zip(("before", "after"), sides, strict=True):
            batches = unit.open(self.documents[quoting.shard.source]).batches(quoting.shard.entry)
            write_scratch(unit, name, QUOTES, side.quotes(batches))
        return {}

    def extend(self, unit: Unit, extended: Extended) -> Facts:
        """The cuts of a shard, as far as they go."""
        from pipeline.dedup.cuts import CUTS, cuts_digest, read_batch
        from pipeline.dedup.quotes import Extending, read_quotes
        from pipeline.dedup.scratch import write_scratch

        shard = extended.shard
        mine = read_batch(unit, extended.spans, extended.batch)
        before = read_quotes(unit, extended.before, mine["first_holder"].to_numpy())
        after = read_quotes(unit, extended.after, mine["last_holder"].to_numpy())
        extending = Extending(spans=mine, before=before, after=after, first=shard.first)
        cuts = extending.cuts(unit.open(self.documents[shard.source]).batches(shard.entry))
        write_scratch(unit, "cuts", CUTS, [cuts])
        return {"digest": cuts_digest(cuts, shard.first)}
