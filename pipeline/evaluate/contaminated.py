"""Which examples of benchmarks a model may have learned by heart: those of which a part stands in what it was trained on.

The method is that of `Decontaminate`, asked from the other side: of each example, how much of it is in which document. An example
with fewer than `shortest` words is too short for that, and is neither clean nor contaminated.

index (all examples) → look (a shard) → gather (the greatest share of every example)

The n-grams of the examples are what is held in memory, about 60 bytes a word of them; documents stream by.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.file_task import FileTask
from pipeline.evaluate.taught import Taught
from pipeline.filters.evaluation_set import Example, text_of
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa

OVERLAPS, PARTS = "overlaps", "parts"
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Looking:
    """A shard of what was taught, by its place in the recipe, and the index."""

    taught: int
    shard: FileEntry
    index: tuple[FileEntry, ...]


class Overlap(NamedTuple):
    """The greatest share of an example's n-grams that is in one text, and where that is."""

    share: float
    document: str


@dataclass(frozen=True, kw_only=True)
class Contaminated(Step[Artifact]):
    """How much of each example of some tasks is in the documents of corpora (`overlaps/`).

    The share is that of the example's n-grams of `length` words, its words being all text of its record, that one document holds;
    see `Decontaminate` for what a word is, and for examples with fewer words.

    Facts: `texts` that were looked through; `tasks`, {task: {"examples", "dirty", "too_short"}}.
    """

    tasks: tuple[FileTask[Any, Any], ...]
    taught: tuple[Taught, ...]
    length: int = 13
    shortest: int = 8

    def __post_init__(self) -> None:
        if not self.tasks:
            raise RequestError("tasks is empty: name at least one whose examples stand in a file")
        if not self.taught:
            raise RequestError("taught is empty: name at least one corpus that the model was trained on")
        if not 1 <= self.shortest <= self.length:
            raise RequestError(f"shortest is {self.shortest} and length {self.length}: use words from 1 on, shortest up to length")

    def run(self, context: Context) -> Facts:
        (index,) = context.map(self.index, [self.tasks])
        lookings = [
            Looking(taught=place, shard=shard, index=index.scratch)
            for place, taught in enumerate(self.taught)
            for shard in taught.shards(context)
        ]
        looked = list(context.map(self.look, lookings, stands_for=lambda item: self.taught[item.taught].stands_for(item.shard)))
        parts = tuple(entry for receipt in looked for entry in receipt.files)
        (gathered,) = context.map(self.gather, [(index.facts["sizes"], parts)])
        return {"texts": sum(receipt.facts["texts"] for receipt in looked), "tasks": gathered.facts}

    def index(self, unit: Unit, tasks: Sequence[FileTask[Any, Any]]) -> Facts:
        """Index the n-grams of all examples, which are numbered from 0 in every task."""
        from pipeline.filters.contamination import write_index

        named = [(task.name, [Example(number, text_of(row.columns)) for number, row in enumerate(task.rows())]) for task in tasks]
        sizes = write_index(unit, named, self.length, self.shortest).tolist()
        waiting = iter(sizes)
        return {"sizes": [[next(waiting) >= self.shortest for _ in examples] for _, examples in named]}

    def look(self, unit: Unit, looking: Looking) -> Facts:
        """Write the examples that a shard holds something of, by their number among all, with the text that holds most of each."""
        from pipeline.filters.contamination import open_index

        index = open_index(unit, looking.index, self.length, self.shortest)
        most, count = dict[int, Overlap](), 0
        for places, texts in self.taught[looking.taught].texts(unit, looking.shard):
            count += len(texts)
            for row, overlaps in index.overlaps(texts):
                for example, share in overlaps:
                    if example not in most or share > most[example].share:
                        most[example] = Overlap(share, places[row].as_py())
        _write(unit, PARTS, [{"example": example, **most[example]._asdict()} for example in sorted(most)], _part_schema())
        return {"texts": count}

    def gather(self, unit: Unit, found: tuple[Sequence[Sequence[bool]], Sequence[FileEntry]]) -> Facts:
        """Write every example with the greatest of its shares; of equal ones, the first."""
        long_enough, parts = found
        most = dict[int, Overlap]()
        for entry in parts:
            for row in _rows(unit.local(entry)):
                if row["example"] not in most or row["share"] > most[row["example"]].share:
                    most[row["example"]] = Overlap(row["share"], row["document"])
        rows, counts = list[dict[str, Any]](), dict[str, Any]()
        for task, sizes in zip(self.tasks, long_enough, strict=True):
            own = [_row(task.name, number, long, most.get(len(rows) + number)) for number, long in enumerate(sizes)]
            groups = Counter(group_of(row["share"]) for row in own)
            counts[task.name] = {"examples": len(own), "dirty": groups["dirty"], "too_short": groups["too_short"]}
            rows += own
        _write(unit, OVERLAPS, rows, _schema())
        return counts


def with_files(tasks: Iterable[EvalTask[Any, Any]]) -> tuple[FileTask[Any, Any], ...]:
    """The tasks whose examples can be looked for: those that stand in a file."""
    return tuple(task for task in tasks if isinstance(task, FileTask))


def group_of(share: float | None) -> str:
    """What the metrics of an example are counted with, by how much of it was found."""
    if share is None:
        return "too_short"
    return "dirty" if share else "clean"


def read_groups(artifact: Artifact, task: str) -> Iterator[str]:
    """The group of each example of a task, in order."""
    for entry in artifact.files(OVERLAPS):
        yield from (group_of(row["share"]) for row in _rows(artifact.local(entry)) if row["task"] == task)


def _row(task: str, number: int, long_enough: bool, found: Overlap | None) -> dict[str, Any]:
    share = (0.0 if found is None else found.share) if long_enough else None
    return {"task": task, "number": number, "share": share, "document": None if found is None else found.document}


def _schema() -> "pa.Schema":
    """An example's task and number, the share of it that a document holds (null: it is too short to be looked for), and which one."""
    import pyarrow as pa

    return pa.schema([("task", pa.string()), ("number", pa.int64()), ("share", pa.float64()), ("document", pa.string())])


def _part_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("example", pa.int64()), ("share", pa.float64()), ("document", pa.string())])


def _write(unit: Unit, kind: str, rows: Sequence[dict[str, Any]], schema: "pa.Schema") -> None:
    """Add rows to the artifact as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        draft = Path(folder, "rows.parquet")
        pq.write_table(pa.Table.from_pylist(rows, schema), draft, compression="zstd")
        unit.write(kind, draft, ".parquet", len(rows))


def _rows(place: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, some thousands in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(place) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()
