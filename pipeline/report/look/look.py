"""Look: what a corpus holds and what it lost, counted by source, with excerpts of documents to show.

losses (a shard that a stage dropped something of) · measure (a shard of the corpus) · weigh (a token shard)
→ clusters (a stage) → fetch (a shard that may hold documents to be shown) → compose

Counts are of all documents. What takes longer is done on a bounded sample, chosen by a hash of ids: languages are told of at most
about `sample` documents, and filters are tried on `tried`. Where a corpus has grown, what was counted of its shards is found done.
A unit holds a batch of documents and what a shard lost; `clusters` counts the ids in the ledgers of a stage.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.documents import KEPT, Document, Documents
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.filters.clean import Clean
from pipeline.filters.decontaminate import Decontaminate
from pipeline.report.look.stages import Passing, passings, stages_of
from pipeline.sources.ingest import Ingest
from pipeline.tokens.shards import TRAIN, VALIDATION, TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.fingerprint import Json
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    from pipeline.report.look.choice import Cluster, Fetching, Repeated, Shown
    from pipeline.report.look.losses import Losses


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """A shard of the corpus, and how to choose those of its documents whose language is told, for each source."""

    shard: FileEntry
    shifts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Composing:
    """All that was counted, all that is to be shown, and where the texts are."""

    totals: Mapping[str, Any]
    drops: "tuple[Shown, ...]"
    clusters: "tuple[Cluster, ...]"
    tried: tuple[str, ...]
    texts: tuple[tuple[int, FileEntry], ...]


@dataclass(frozen=True, kw_only=True)
class Look(Step[Artifact]):
    """A look at the corpus that `tokens` were made of, and at all `stages` that its documents went through.

    Up to `examples` excerpts are kept for each reason and each filter, and for each of the `largest` clusters of duplicates.
    The artifact has the counts as JSON (`findings`), and the excerpts as a table (`documents`).
    """

    artifact: ClassVar[type[Artifact]] = Artifact

    tokens: Step[TokenShards]
    stages: tuple[Step[Documents], ...]
    sample: int = 5_000
    tried: int = 500
    examples: int = 3
    largest: int = 8

    def __post_init__(self) -> None:
        if not self.stages:
            raise RequestError("Look.stages is empty: name the stages of the corpus, inputs first, or write Look.at(tokens)")
        for name in ("sample", "tried", "examples", "largest"):
            if getattr(self, name) < 1:
                raise RequestError(f"Look.{name} is {getattr(self, name)}: use 1 or more")

    @classmethod
    def at(cls, tokens: Tokenize) -> "Look":
        """A look at what a tokenization was made of."""
        return cls(tokens=tokens, stages=stages_of(tokens.documents))

    def run(self, context: Context) -> Facts:
        from pipeline.report.look.totals import sources_of, totals

        through = passings(context, self.stages)
        lost = list(context.map(self.losses, through, stands_for=_passed))
        held = list(context.map(self.measure, self._measurings(context), stands_for=_measured))
        tokens = context.open(self.tokens)
        weighed = context.map(self.weigh, (*tokens.files(TRAIN), *tokens.files(VALIDATION)), stands_for=lambda entry: entry.checksum)
        sources = sources_of(receipt.facts["held"] for receipt in (*held, *weighed))
        counted = totals(self.stages, list(self._lost(context, through, lost)), sources)
        (composed,) = context.map(self.compose, [self._composing(context, counted, through, lost, held)])
        return composed.facts

    def _measurings(self, context: Context) -> list[Measuring]:
        from pipeline.report.look.ranks import shifts

        corpus = context.open(self.stages[-1])
        chosen = shifts({source: counts["kept"] for source, counts in corpus.facts["sources"].items()}, self.sample)
        return [Measuring(shard=shard, shifts=chosen) for shard in corpus.shards]

    def _lost(self, context: Context, through: list[Passing], lost: list[Receipt]) -> "Iterator[tuple[Facts, list[Losses]]]":
        """The facts of each stage, and what it lost. What is lost on the way in has no text: the facts alone count it."""
        by_stage: dict[int, list[Losses]] = defaultdict(list)
        for passing, receipt in zip(through, lost, strict=True):
            by_stage[passing.stage].append(receipt.facts["lost"])
        for number, stage in enumerate(self.stages):
            facts = context.open(stage).facts
            if isinstance(stage, Ingest):
                by_stage[number].append({stage.source.name: {reason: [count, 0] for reason, count in facts["dropped"].items()}})
            yield facts, by_stage[number]

    def _composing(
        self, context: Context, counted: Mapping[str, Any], through: list[Passing], lost: list[Receipt], held: list[Receipt]
    ) -> Composing:
        """Choose what is to be shown, and fetch it."""
        from pipeline.report.look.choice import Choice, Repeated

        shards = [context.open(stage).shards for stage in self.stages]
        naming = [number for number, stage in enumerate(self.stages) if not isinstance(stage, Decontaminate)]  # its match is no document
        repeated = [Repeated(stage=number, passings=mine) for number in naming if (mine := tuple(p for p in through if p.stage == number))]
        choice = Choice(self.stages)
        choice.choose_drops(through, [receipt.facts for receipt in lost], self.examples)
        choice.choose_clusters(repeated, [receipt.facts for receipt in context.map(self.clusters, repeated)], self.largest)
        choice.want_originals(shards)
        choice.choose_tried(shards[-1], [receipt.facts for receipt in held], self.tried)
        fetchings = choice.fetchings()
        fetched = context.map(self.fetch, fetchings)
        return Composing(
            totals=counted,
            drops=tuple(choice.drops),
            clusters=tuple(choice.clusters),
            tried=tuple(choice.tried),
            texts=tuple((fetching.stage, receipt.scratch[0]) for fetching, receipt in zip(fetchings, fetched, strict=True)),
        )

    def losses(self, unit: Unit, passing: Passing) -> Facts:
        """What was lost of a shard."""
        from pipeline.report.look.losses import losses, read_ledger

        ledger = read_ledger(unit.open(self.stages[passing.stage]), passing.ledger)
        return losses(unit.open(self.stages[passing.before]).batches(passing.shard), ledger, self.examples)

    def measure(self, unit: Unit, measuring: Measuring) -> Facts:
        """What a shard of the corpus holds."""
        from pipeline.report.look.measures import measured

        return measured(unit.open(self.stages[-1]).batches(measuring.shard), measuring.shifts, self.tried)

    def weigh(self, unit: Unit, entry: FileEntry) -> Facts:
        """How long the documents of a token shard are."""
        from pipeline.report.look.measures import token_lengths

        return token_lengths(unit.open(self.tokens).local(entry))

    def clusters(self, unit: Unit, repeated: "Repeated") -> Facts:
        """The largest clusters of a stage's duplicates, none where it looks for none."""
        from pipeline.report.look.losses import largest_clusters, least_similar, read_ledger

        stage = unit.open(self.stages[repeated.stage])
        largest = largest_clusters((read_ledger(stage, passing.ledger) for passing in repeated.passings), self.largest)
        ledgers = (read_ledger(stage, passing.ledger) for passing in repeated.passings)
        shown = least_similar(ledgers, [match for match, _ in largest], self.examples)
        return {"clusters": [{"match": match, "drops": drops, "shown": shown[match]} for match, drops in largest]}

    def fetch(self, unit: Unit, fetching: "Fetching") -> Facts:
        """Bring documents together that are to be shown."""
        from pipeline.dedup.scratch import write_scratch
        from pipeline.report.look.excerpts import FOUND, found

        shard = unit.open(self.stages[fetching.stage]).local(fetching.shard)
        write_scratch(unit, "found", FOUND, found(shard, fetching.ids))
        return {}

    def compose(self, unit: Unit, composing: Composing) -> Facts:
        """Write the counts and the excerpts."""
        import pyarrow as pa

        from pipeline.dedup.scratch import read_scratch
        from pipeline.documents import write_tables
        from pipeline.report.look.excerpts import EXCERPTS, dropped, narrowly, pairs, told
        from pipeline.report.look.margins import narrow

        texts = {
            (stage, row["id"]): Document(**row, snapshot="")
            for stage, entry in composing.texts
            for row in read_scratch(unit, entry).to_pylist()
        }
        tried = [texts[len(self.stages) - 1, key] for key in composing.tried]
        passed = [
            narrowly(member.name(), each.change, each.document)
            for member in self._filters()
            for each in narrow(member, tried, self.examples)
        ]
        rows = [*dropped(composing.drops, texts), *passed, *pairs(composing.clusters, texts)]
        write_tables(unit, KEPT, EXCERPTS, [pa.RecordBatch.from_pylist(rows, schema=EXCERPTS)] if rows else [])
        findings = {**composing.totals, "clusters": [told(cluster, texts) for cluster in composing.clusters]}
        unit.write("findings", json.dumps(findings).encode(), ".json")
        return {"looked_at": {"sources": len(findings["held"]), "clusters": len(composing.clusters), "excerpts": len(rows)}}

    def _filters(self) -> Iterator[Filter]:
        """The filters of all stages, each once."""
        yield from dict.fromkeys(member for stage in self.stages if isinstance(stage, Clean) for member in stage.filters)


def _passed(passing: Passing) -> Json:
    return [passing.shard.checksum, passing.ledger.checksum]


def _measured(measuring: Measuring) -> Json:
    return [measuring.shard.checksum, dict(measuring.shifts)]
