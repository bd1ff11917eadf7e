"""Deduplicate: every document that an earlier kept one repeats, exactly or nearly, is dropped and says which.

The order is (place in `documents`, shard, row). A document is dropped if and only if an earlier kept document
is a verified match: an equal text once white space is folded, or a true Jaccard similarity of the sets of
shingles at or above the threshold. There is no transitive closure, and since a decision looks only at what came
before, appending documents never changes an earlier one.

sketch (a shard) → copies, edges (some bands) → cluster → gather (a shard) → decide (a bin of clusters) → conclude → part (a shard)

Where a step of the same recipe had some of the documents before, what it did is found done: sketches of the same shards, decisions on
documents behind the same others (`decisions`), and shards with the same verdicts. Where it had the first ones and no others, so are their
copies and edges, and in place of these phases `join` looks for those of the documents behind them.

What is guaranteed: every drop is right (shingles are compared by their 64-bit hashes). What is likely: a pair at the
threshold is found with a probability of at least `banding.RECALL`, a more similar one with a higher one; `survivors`
tells of the one case in which less is compared. A unit holds a batch of documents, a shard's sketches, one band
or key of all documents (24 bytes each), or a bin of clusters.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal

import pyarrow as pa

from pipeline.dedup.banding import Banding, banding
from pipeline.dedup.inputs import Shard, shards_of
from pipeline.dedup.phases import Candidates, Decided, Earlier, Gathering, Keys, Later, Part, Parted, Sketched, gatherings
from pipeline.documents import KEPT, SCHEMA, Documents, total, write_dropped, write_tables
from pipeline.errors import RequestError
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

BANDS_A_UNIT = 6
KEYS_AT_ONCE = 1 << 24
"""Documents whose keys a unit compares at once, about 40 bytes each: of larger corpora it takes a part of the range of keys."""
LATER_AT_ONCE, JOINED_AT_ONCE = 1 << 20, 1 << 26
"""New documents for which others are looked for at once, and among how many; beyond, the keys of all are compared."""
SKETCHES, COPIES, ROOTS, DECISIONS = "sketches", "copies", "roots", "decisions"


@dataclass(frozen=True, kw_only=True)
class Deduplicate(Step[Documents]):
    """The documents of all inputs without those that repeat an earlier one.

    `similarity` is the least Jaccard similarity of a near-duplicate, over 0 and up to 1; None leaves only exact
    duplicates out. A shingle is `shingle` neighbouring words (`unit="word"`; a Han character is one) or
    letters and digits (`unit="character"`). More `permutations` find more of the pairs near the threshold with fewer
    needless comparisons, and take longer.
    """

    artifact: ClassVar[type[Documents]] = Documents

    documents: tuple[Step[Documents], ...]
    similarity: float | None = 0.8
    unit: Literal["word", "character"] = "word"
    shingle: int = 5
    permutations: int = 128

    def __post_init__(self) -> None:
        if not isinstance(self.documents, tuple) or not self.documents:
            raise RequestError(f"documents is {self.documents!r}, not a tuple of steps: write (step,) for one")
        if self.similarity is not None and not 0 < self.similarity <= 1:
            raise RequestError(f"similarity is {self.similarity}: use more than 0 and up to 1, or None for exact duplicates only")
        if self.unit not in ("word", "character"):
            raise RequestError(f"unit is {self.unit!r}: use 'word' or 'character'")
        if self.shingle < 1:
            raise RequestError(f"shingle is {self.shingle}: use 1 or more")
        if self.permutations < 1:
            raise RequestError(f"permutations is {self.permutations}: use 1 or more")
        _ = self.banding

    @property
    def banding(self) -> Banding | None:
        """How signatures are cut into bands; None where only exact duplicates are looked for."""
        return None if self.similarity is None else banding(self.similarity, self.permutations)

    def run(self, context: Context) -> Facts:
        shards = tuple(shards_of(context, self.documents))
        sketched = context.map(self.sketch, shards, stands_for=lambda shard: shard.entry.checksum)
        sketches = tuple(receipt.files[0] for receipt in sketched)
        decided = self._decided(context, shards, sketches)
        (concluded,) = context.map(self.conclude, [decided])
        roots = () if decided.roots is None else (decided.roots,)
        context.remember(DECISIONS, Receipt(files=(*concluded.files, *roots), scratch=(), facts=Earlier.facts(sketches)))
        parts = [
            Parted(shard=shard, verdicts=concluded.scratch[0], digest=digest)
            for shard, digest in zip(shards, concluded.facts["digests"], strict=True)
        ]
        parted = context.map(self.part, parts, stands_for=lambda part: [part.shard.entry.checksum, part.digest])
        return total(receipt.facts for receipt in parted)

    def _decided(self, context: Context, shards: tuple[Shard, ...], sketches: tuple[FileEntry, ...]) -> Decided:
        """Find the copies, and decide on near-duplicates, as far as it is not known how."""
        earlier = Earlier.of(context.recall(DECISIONS))
        copies, edges = self._joined(context, shards, sketches, earlier)
        if self.banding is None:
            return Decided(shards=shards, copies=copies)
        decisions, firsts = earlier.decisions if earlier else None, tuple(shard.first for shard in shards)
        candidates = Candidates(sketches=sketches, copies=copies, edges=edges, decisions=decisions, firsts=firsts)
        (clustered,) = context.map(self.cluster, [candidates])
        members, keys, known = clustered.scratch
        placed = [Sketched(shard=shard, sketch=sketch) for shard, sketch in zip(shards, sketches, strict=True)]
        bins = defaultdict[str, list[FileEntry]](list)
        for receipt in context.map(self.gather, list(gatherings(placed, clustered.facts["waiting"], members))):
            for entry in receipt.scratch:
                bins[entry.path.rsplit("/", 1)[0]].append(entry)
        decided = context.map(self.decide, [tuple(bins[name]) for name in sorted(bins)])
        near = (known, *(receipt.scratch[0] for receipt in decided))
        return Decided(shards=shards, copies=copies, roots=clustered.files[0], members=members, keys=keys, near=near)

    def _joined(
        self, context: Context, shards: tuple[Shard, ...], sketches: tuple[FileEntry, ...], earlier: Earlier | None
    ) -> tuple[tuple[FileEntry, ...], tuple[FileEntry, ...]]:
        """The copies and the edges, of all documents; looked for are those that are not known."""
        ends = [*(shard.first for shard in shards), sum(shard.count for shard in shards)]
        if earlier is not None and earlier.begins(sketches):
            since = ends[earlier.sketches]
            if ends[-1] - since <= LATER_AT_ONCE and ends[-1] <= JOINED_AT_ONCE:
                later = Later(sketches=sketches, since=since, copies=earlier.copies, roots=earlier.roots)
                (joined,) = context.map(self.join, [later])
                return joined.scratch[:1], joined.scratch[1:]
        ranges = _parts(ends[-1])
        copied = context.map(self.copies, [Keys(sketches=sketches, part=part) for part in ranges])
        numbers = range(self.banding.bands if self.banding else 0)
        groups = [tuple(numbers[start : start + BANDS_A_UNIT]) for start in range(0, len(numbers), BANDS_A_UNIT)]
        sought = [Keys(sketches=sketches, part=part, bands=bands) for bands in groups for part in ranges]
        connected = context.map(self.edges, sought)
        return tuple(receipt.scratch[0] for receipt in copied), tuple(receipt.scratch[0] for receipt in connected)

    def sketch(self, unit: Unit, shard: Shard) -> Facts:
        """A shard's exact keys and bands."""
        from pipeline.dedup.scratch import write_table
        from pipeline.dedup.sketch import sketch_batch, sketch_schema

        batches = unit.open(self.documents[shard.source]).batches(shard.entry, ("id", "text"))
        sketches = (sketch_batch(batch, self.banding, self.shingle, self.unit == "character") for batch in batches)
        write_table(unit.write, SKETCHES, sketch_schema(self.banding), sketches)
        return {}

    def copies(self, unit: Unit, keys: Keys) -> Facts:
        """The exact duplicates among all sketches."""
        from pipeline.dedup.candidates import copies
        from pipeline.dedup.scratch import write_scratch
        from pipeline.dedup.verdicts import VERDICTS

        write_scratch(unit, "copies", VERDICTS, [copies(unit, keys.sketches, keys.part)])
        return {}

    def edges(self, unit: Unit, keys: Keys) -> Facts:
        """Who has a band in common with an earlier document."""
        from pipeline.dedup.candidates import EDGES, band_edges
        from pipeline.dedup.scratch import write_scratch

        write_scratch(unit, "edges", EDGES, band_edges(unit, keys.sketches, keys.bands, keys.part))
        return {}

    def join(self, unit: Unit, later: Later) -> Facts:
        """All exact duplicates and edges, from those of the first documents and what the others have in common with an earlier one."""
        from pipeline.dedup.candidates import EDGES, later_copies, later_edges
        from pipeline.dedup.scratch import read_scratch, write_scratch
        from pipeline.dedup.verdicts import VERDICTS

        write_scratch(unit, "copies", VERDICTS, [later_copies(unit, later.sketches, later.since, read_scratch(unit, later.copies))])
        if self.banding is not None and later.roots is not None:
            known = read_scratch(unit, later.roots).to_batches()
            write_scratch(unit, "edges", EDGES, chain(known, later_edges(unit, later.sketches, self.banding.bands, later.since)))
        return {}

    def cluster(self, unit: Unit, candidates: Candidates) -> Facts:
        """Which documents must be looked at together, and what is known of them."""
        import numpy as np

        from pipeline.dedup.candidates import EDGES
        from pipeline.dedup.clusters import MEMBERS, SETTLED, Clusters
        from pipeline.dedup.decisions import KEYS, known, needed
        from pipeline.dedup.scratch import read_all, read_scratch, write_scratch, write_table
        from pipeline.dedup.sketch import sketch_schema
        from pipeline.dedup.verdicts import VERDICTS

        sketches = read_all(unit, candidates.sketches, sketch_schema(self.banding))
        shingles = sketches["shingles"].to_numpy()
        clusters = Clusters(shingles.size)
        for entry in candidates.edges:
            edges = read_scratch(unit, entry)
            clusters.add(edges["later"].to_numpy(), edges["earliest"].to_numpy())
        write_table(unit.write, ROOTS, EDGES, [clusters.edges()])
        members = clusters.members(read_all(unit, candidates.copies, VERDICTS)["document"].to_numpy())
        keys = np.stack([sketches[name].to_numpy()[members.documents] for name in ("exact_high", "exact_low")], axis=1)
        earlier = None if candidates.decisions is None else read_scratch(unit, candidates.decisions)
        found = known(members, keys, earlier, sketches["id"])
        table = members.table(shingles, needed(members, found, sketches["bands"]), found.open)
        write_scratch(unit, "members", MEMBERS, [table])
        write_scratch(unit, "keys", KEYS, [pa.record_batch([pa.array(column) for column in keys.T.copy()], schema=KEYS)])
        write_scratch(unit, "known", VERDICTS, [found.verdicts])
        waiting = table["document"].to_numpy()[table["bin"].to_numpy() != SETTLED]
        return {"waiting": np.diff(np.searchsorted(waiting, [*candidates.firsts, shingles.size])).tolist()}

    def gather(self, unit: Unit, gathering: Gathering) -> Facts:
        """Bring the shingle sets of the documents of some shards that have candidates to their bins."""
        from pipeline.dedup.bins import gathered_schema
        from pipeline.dedup.gather import gather, wanted, wanted_texts
        from pipeline.dedup.scratch import read_scratch, write_bins

        assert self.banding is not None
        members = read_scratch(unit, gathering.members)
        opened = {source: unit.open(self.documents[source]) for source in {each.shard.source for each in gathering.shards}}

        def gathered() -> Iterator[tuple[int, pa.RecordBatch]]:
            for each in gathering.shards:
                chosen = wanted(members, read_scratch(unit, each.sketch), each.shard.first)
                texts = wanted_texts(opened[each.shard.source], each.shard.entry, chosen)
                yield from gather(texts, chosen, each.shard.first, self.shingle, self.unit == "character")

        write_bins(unit, "bins", gathered_schema(self.banding.bands), gathered())
        return {}

    def decide(self, unit: Unit, gathered: tuple[FileEntry, ...]) -> Facts:
        """Decide on the documents of a bin, in order."""
        from pipeline.dedup.bins import read_bin
        from pipeline.dedup.scratch import write_scratch
        from pipeline.dedup.survivors import survey
        from pipeline.dedup.verdicts import VERDICTS

        assert self.similarity is not None
        members = read_bin(unit, gathered)
        found = survey(members.sets, members.offsets, members.bands, members.open, self.similarity)
        write_scratch(unit, "near", VERDICTS, [members.verdicts(found.matches, found.similarities)])
        return {}

    def conclude(self, unit: Unit, decided: Decided) -> Facts:
        """All decisions, to be found by later steps; all verdicts, and a digest of those on each shard."""
        from pipeline.dedup.candidates import EDGES, copy_edges
        from pipeline.dedup.decisions import decisions
        from pipeline.dedup.scratch import read_scratch, write_table
        from pipeline.dedup.verdicts import FINAL_VERDICTS, VERDICTS, digests, final_verdicts

        near = pa.concat_tables([VERDICTS.empty_table(), *(read_scratch(unit, entry) for entry in decided.near)]).sort_by("document")
        if decided.members is not None and decided.keys is not None:
            found = decisions(read_scratch(unit, decided.members), read_scratch(unit, decided.keys), near)
            write_table(unit.write, DECISIONS, found.schema, found.to_batches())
        copies = pa.concat_tables(read_scratch(unit, entry) for entry in decided.copies).sort_by("document")
        write_table(unit.write, COPIES, EDGES, [copy_edges(copies)])
        final = final_verdicts(near, copies)
        write_table(unit.scratch, "verdicts", FINAL_VERDICTS, final.to_batches())
        return {"digests": digests(final, [(shard.first, shard.count) for shard in decided.shards])}

    def part(self, unit: Unit, parted: Parted) -> Facts:
        """Write what a shard keeps, and the ledger of what it drops."""
        from pipeline.dedup.scratch import read_scratch
        from pipeline.dedup.verdicts import Parting, verdicts_on

        shard = parted.shard
        parting = Parting(verdicts_on(read_scratch(unit, parted.verdicts), shard.first, shard.count), shard.first)
        batches = unit.open(self.documents[shard.source]).batches(shard.entry)
        write_tables(unit, KEPT, SCHEMA, parting.kept(batches))
        write_dropped(unit, parting.ledger)
        return parting.tally.facts()


def _parts(documents: int) -> list[Part]:
    """The parts of the range of keys, as many as keep a unit small."""
    count = max(1, -(-documents // KEYS_AT_ONCE))
    return [Part(number, count) for number in range(count)]
