"""DropBudget: a run ends where a stage drops more of a source than was allowed, and shows what it dropped.

A stage that drops documents says how many and why; that it dropped nearly all of a source, by a rule that was made for other text,
is seen only by who looks. This step looks before anything is made of what is left. The stage is built then, with its ledger, and
nothing that follows it: with a greater budget, or other rules, a run goes on from there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.documents import DROPPED, Document, Documents
from pipeline.errors import BudgetExceeded, RequestError
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step

LOOKED_AT = 1000
"""Dropped documents of the source, the first ones, whose reasons are told."""
WORST, EXAMPLES, BEGINNING = 3, 2, 200


class Lost(NamedTuple):
    """What a stage dropped of a source."""

    source: str
    dropped: int
    read: int

    @property
    def share(self) -> float:
        return self.dropped / self.read


@dataclass(frozen=True, kw_only=True)
class DropBudget(Step[Artifact]):
    """Raises BudgetExceeded where `stages` together dropped more than the share `most` of the documents that they read of a source.

    The error names the source that lost most, and the most frequent reasons of the first documents that it lost, with the origins of
    some. How their texts begin stands in the error's notes: it is shown, but kept nowhere. The facts are the share of each source.
    """

    stages: tuple[Step[Documents], ...]
    most: float

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise RequestError(f"a drop budget is {self.most}: give a share from 0 to 1")

    @classmethod
    def of(cls, documents: Step[Documents], most: float) -> "tuple[DropBudget, ...]":
        """A budget for each stage that documents went through, in order. Where they come in there is one already (`loss_budget`)."""
        together: dict[tuple[int, str], list[Step[Documents]]] = defaultdict(list)
        for step, depth in _depths(documents, {}).values():
            if depth:
                together[depth, step.name()].append(step)
        return tuple(cls(stages=tuple(steps), most=most) for _, steps in sorted(together.items(), key=lambda item: item[0]))

    def run(self, context: Context) -> Facts:
        kept, dropped = Counter[str](), Counter[str]()
        for stage in self.stages:
            for source, counts in context.open(stage).facts["sources"].items():
                kept[source] += counts["kept"]
                dropped[source] += counts["dropped"]
        lost = [Lost(source, count, count + kept[source]) for source, count in sorted(dropped.items()) if count]
        too_much = [each for each in lost if each.dropped > self.most * each.read]
        if too_much:
            raise self._exceeded(context, max(too_much, key=lambda each: each.share), len(too_much) - 1)
        return {"lost": {each.source: each.share for each in lost}}

    def _exceeded(self, context: Context, worst: Lost, others: int) -> BudgetExceeded:
        """What happened, with examples."""
        reasons, examples = Counter[str](), dict[str, list[Document]]()
        for document, reason in islice(self._dropped(context, worst.source), LOOKED_AT):
            reasons[reason] += 1
            shown = examples.setdefault(reason, [])
            if len(shown) < EXAMPLES:
                shown.append(document)
        name, most_frequent = self.stages[0].name(), reasons.most_common(WORST)
        told = ", ".join(f"{count} {reason} (as {examples[reason][0].origin})" for reason, count in most_frequent)
        of_these = "" if reasons.total() == worst.dropped else f"of the first {reasons.total()} of these, "
        problem = BudgetExceeded(
            f"{name} dropped {worst.dropped} of {worst.read} documents of {worst.source}"
            f"{f' (and too much of {others} more)' if others else ''}, and the drop budget is {self.most:g}: {of_these}{told}; "
            "change what drops them, or raise the budget"
        )
        for reason, _ in most_frequent:
            for document in examples[reason]:
                problem.add_note(f"{reason}  {document.origin}")
                problem.add_note(f"  │ {document.text[:BEGINNING]}")
        return problem

    def _dropped(self, context: Context, source: str) -> Iterator[tuple[Document, str]]:
        """The documents of a source that the stages dropped, with the reasons: as they came, shard by shard."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for stage in self.stages:
            done = context.open(stage)
            shards = [(context.open(needed), shard) for needed in _read_by(stage) for shard in context.open(needed).shards]
            for (documents, shard), ledger in zip(shards, done.files(DROPPED), strict=True):
                reasons = _reasons(done.local(ledger))
                for batch in documents.batches(shard) if reasons else ():
                    chosen = pc.and_(pc.equal(batch["source"], source), pc.is_in(batch["id"], pa.array(list(reasons), pa.string())))
                    for row in batch.filter(chosen).to_pylist():
                        yield Document(**row), reasons[row["id"]]


def _read_by(step: Step[Documents]) -> Sequence[Step[Documents]]:
    """The steps whose documents a step reads."""
    return [needed for path, needed in step.inputs.items() if path.partition("[")[0] == "documents"]


Depths = dict[str, tuple[Step[Documents], int]]
"""Address → a stage, and how many come before it."""


def _depths(step: Step[Documents], known: Depths) -> Depths:
    """A stage and all before it."""
    if step.address not in known:
        before = [_depths(needed, known)[needed.address][1] for needed in _read_by(step)]
        known[step.address] = step, max(before, default=-1) + 1
    return known


def _reasons(ledger: Path) -> Mapping[str, str]:
    """The ids of dropped documents, and why they were."""
    import pyarrow as pa

    with pa.memory_map(str(ledger)) as source:
        table = pa.ipc.open_file(source).read_all()
        return dict(zip(table["id"].to_pylist(), table["reason"].to_pylist(), strict=True))
