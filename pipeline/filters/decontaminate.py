"""Decontaminate: no document that holds a part of a benchmark's examples goes into training.

The method is that of GPT-3 (Brown et al., 2020, appendix C, https://arxiv.org/abs/2005.14165): a document and an
example that have 13 neighbouring words in common, whatever their case and punctuation. Examples with fewer words are
matched whole, down to 8, below which agreement by chance is usual; still shorter ones are left out, and counted.

index (all sets) → part (a shard)

What is guaranteed: every drop is right, since the words behind equal hashes are compared. A unit holds a batch of
documents and maps the index, about 60 bytes a word of the sets.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.documents import Documents, total
from pipeline.errors import RequestError
from pipeline.filters.evaluation_set import EvaluationSet, Example
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.filters.sieve import Verdict

CONTAMINATED = "contaminated"


@dataclass(frozen=True, kw_only=True)
class Probing:
    """A shard to be looked through, and the index."""

    shard: FileEntry
    index: tuple[FileEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Decontaminate(Step[Documents]):
    """The documents that hold no example of the sets `against`.

    A document is dropped as "contaminated" if it holds an n-gram of `length` words of an example, and at least the
    `share` of all n-grams of that example. An example with fewer words than `length` is one n-gram by itself, if it has
    at least `shortest`. A word is a run of letters and digits, or one Han character; see `spelling` for what does not
    count. The ledger's `match` names the example with the greatest share as SET#LINE, and `similarity` is that share.
    """

    artifact: ClassVar[type[Documents]] = Documents

    documents: Step[Documents]
    against: tuple[EvaluationSet, ...]
    length: int = 13
    shortest: int = 8
    share: float = 0.0

    def __post_init__(self) -> None:
        sets = self.against
        if not isinstance(sets, tuple) or not sets or not all(isinstance(member, EvaluationSet) for member in sets):
            raise RequestError(f"against is {sets!r}, not a tuple of evaluation sets: write (EvaluationSet.at(…),) for one")
        repeated = [name for name, count in Counter(member.name for member in self.against).items() if count > 1]
        if repeated:
            raise RequestError(f"two evaluation sets are named {repeated[0]!r}: give one of them another name, EvaluationSet.at(…, name=…)")
        if not 1 <= self.shortest <= self.length:
            raise RequestError(f"shortest is {self.shortest} and length {self.length}: use words from 1 on, shortest up to length")
        if not 0 <= self.share <= 1:
            raise RequestError(f"share is {self.share}: use 0, for one n-gram of an example, up to 1, for all of them")

    def run(self, context: Context) -> Facts:
        examples = tuple(member.examples() for member in self.against)  # here, since workers need not see the location
        (index,) = context.map(self.index, [examples])
        probings = [Probing(shard=shard, index=index.scratch) for shard in context.open(self.documents).shards]
        parted = list(context.map(self.part, probings, stands_for=lambda probing: probing.shard.checksum))
        return total(receipt.facts for receipt in parted) | {"sets": set_facts(index.facts, [receipt.facts for receipt in parted])}

    def index(self, unit: Unit, examples: tuple[list[Example], ...]) -> Facts:
        """Index the n-grams of all sets."""
        from pipeline.filters.contamination import write_index

        named = [(member.name, members) for member, members in zip(self.against, examples, strict=True)]
        words = iter(write_index(unit, named, self.length, self.shortest).tolist())
        sizes = {name: [next(words) for _ in members] for name, members in named}
        return {name: {"examples": len(found), "too_short": sum(size < self.shortest for size in found)} for name, found in sizes.items()}

    def part(self, unit: Unit, probing: Probing) -> Facts:
        """Write what a shard keeps, and the ledger of what it drops."""
        from pipeline.filters.contamination import open_index
        from pipeline.filters.sieve import Verdict, sift

        index = open_index(unit, probing.index, self.length, self.shortest)
        matched, named = set[int](), Counter[str]()

        def judge(batch: "pa.RecordBatch") -> Mapping[int, "Verdict"]:
            verdicts = {}
            for row, overlaps in index.overlaps(batch["text"]):
                enough = [overlap for overlap in overlaps if overlap.share >= self.share]
                if enough:
                    matched.update(overlap.example for overlap in enough)
                    most = enough[0]
                    named[self.against[index.sets[most.example]].name] += 1
                    verdicts[row] = Verdict(CONTAMINATED, index.names[most.example].as_py(), most.share)
            return verdicts

        facts = sift(unit, unit.open(self.documents).batches(probing.shard), judge)
        return facts | {"matched": [index.names[example].as_py() for example in sorted(matched)], "named": dict(sorted(named.items()))}


def set_facts(indexed: Facts, parted: Iterable[Facts]) -> dict[str, Any]:
    """The counts of each set: its examples, those too short to look for, those found, and the documents that name one as their match."""
    examples, documents = set[str](), Counter[str]()
    for facts in parted:
        examples.update(facts["matched"])
        documents.update(facts["named"])
    matched = Counter(name.partition("#")[0] for name in examples)
    return {name: {**counts, "matched": matched[name], "documents": documents[name]} for name, counts in indexed.items()}
