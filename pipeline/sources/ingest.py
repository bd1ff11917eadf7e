"""Ingest: the records of a source as documents, in shards, with what was quarantined beside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from pipeline.documents import Document, Documents, Dropped, Tally, total, write_documents, write_dropped
from pipeline.errors import BudgetExceeded, RequestError, RunError
from pipeline.sources.base import NO_TEXT, NOT_A_STRING, Source
from pipeline.sources.forgotten import FORGOTTEN, Forgotten
from pipeline.sources.formats.base import RECORD_BYTES, TOO_LARGE
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import Json, canonical
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

SHARD_CHARACTERS = 32 << 20
"""Where a shard ends: large sources are cut, so that the stages after this one can share them out."""
HELD_DROPS = 100_000
"""Quarantined records that are held in memory."""
WORST = 3
REMEDIES = {
    NO_TEXT: "name the field that holds the text as text_field",
    NOT_A_STRING: "name the field that holds the text as text_field",
    TOO_LARGE: f"give records (for plain text: files) of at most {RECORD_BYTES >> 20} MiB",
}


@dataclass(frozen=True, kw_only=True)
class Ingest(Step[Documents]):
    """Reads a source. Every record is kept or quarantined with its reason and place; too many lost ones fail the run."""

    artifact: ClassVar[type[Artifact]] = Documents
    source: Source
    loss_budget: float = 0.5
    """The share of the source's records that may be quarantined, from 0 to 1."""
    forgotten: Forgotten | None = None
    """What of the source is to stay away."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss_budget <= 1:
            raise RequestError(f"loss_budget is {self.loss_budget}: give a share from 0 to 1")

    def check(self) -> None:
        self.source.check()

    @property
    def own(self) -> Json:
        """Without the state of the source: what of it a partition depends on, `stands_for` says."""
        source = canonical(self.source)
        assert isinstance(source, dict)
        lasting = {name: value for name, value in source.items() if name not in ("snapshot", "first_seen")}
        return {**self.recipe, "forgotten": None, "source": {**lasting, "seen": self.source.seen}}

    def _stands_for(self, partition: Any) -> Json:
        """A partition, and what of it is forgotten."""
        gone = self.forgotten or Forgotten()
        mine = [document_id for location, document_id in gone.documents if self.source.may_hold(partition, location)]
        return [self.source.stands_for(partition), list[Json](mine), list[Json](gone.texts), list[Json](gone.spared)]

    def run(self, context: Context) -> Facts:
        receipts = context.map(self.read, self.source.partitions(), stands_for=self._stands_for)
        parts = [receipt.facts for receipt in receipts]
        facts = total(parts)
        examples: dict[str, str] = {}
        for part in parts:
            examples = {**part["examples"], **examples}
        self._check_budget(facts, examples)
        return {**facts, "examples": dict(sorted(examples.items())), "left_out": dict(self.source.left_out)}

    def read(self, unit: Unit, partition: Any) -> Facts:
        """Write the documents of one partition as shards, and what is quarantined of it."""
        tally, drops, examples = Tally(), list[Dropped](), dict[str, str]()

        def kept() -> Iterator[Document]:
            for record in map(self._remembered, self.source.read(partition)):
                if isinstance(record, Document):
                    tally.keep(record)
                    yield record
                    continue
                tally.drop(record.reason, self.source.name)
                examples.setdefault(record.reason, record.origin)
                drops.append(record)
                if len(drops) == HELD_DROPS:
                    write_dropped(unit, drops)
                    drops.clear()

        for shard in _shards(kept()):
            write_documents(unit, shard)
        if drops:
            write_dropped(unit, drops)
        return {**tally.facts(), "examples": examples}

    def _remembered(self, record: Document | Dropped) -> Document | Dropped:
        """A record as it is, or as dropped where it is forgotten."""
        if self.forgotten is None or isinstance(record, Dropped) or not self.forgotten.holds(record):
            return record
        return Dropped(record.id, record.origin, FORGOTTEN)

    def _check_budget(self, facts: Facts, examples: dict[str, str]) -> None:
        read, dropped = facts["read"], facts["dropped"]
        if not read and self.source.seen == self.source.snapshot:  # what was added later may be a file without records
            raise RunError(f"{self.source.name} holds no records; see that it is the right place")
        lost = read - facts["kept"] - dropped.get(FORGOTTEN, 0)
        if lost > self.loss_budget * read:
            bad = {reason: count for reason, count in dropped.items() if reason != FORGOTTEN}
            worst = sorted(bad.items(), key=lambda pair: (-pair[1], pair[0]))[:WORST]
            reasons = ", ".join(f"{count} {reason} (as {examples[reason]})" for reason, count in worst)
            raise BudgetExceeded(
                f"{self.source.name}: {lost} of {read} records cannot be used, and loss_budget is {self.loss_budget:g}: {reasons}; "
                f"{REMEDIES.get(worst[0][0], 'mend the source')}, or raise loss_budget"
            )


def _shards(documents: Iterable[Document]) -> Iterator[Iterator[Document]]:
    """The documents in runs of about SHARD_CHARACTERS; each run is to be used up before the next."""
    size = 0

    def number(document: Document) -> int:
        nonlocal size
        place = size // SHARD_CHARACTERS
        size += len(document.text)
        return place

    for _, shard in groupby(documents, key=number):
        yield shard
