"""What a checkpoint was taught, as text: documents of corpora, and the examples of fine-tuning, without what was held out of either."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.documents import Documents
from pipeline.filters.evaluation_set import text_of
from pipeline.finetune.examples import ROWS, ROWS_AT_ONCE, Examples
from pipeline.finetune.windows import is_held_out
from pipeline.tokens.split import Split
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.fingerprint import Json, canonical
from pipeline.workflow.step import Context, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa


class Texts(NamedTuple):
    """Some texts, and for each where it is to be found: a document's id, or where an example stands in its file."""

    places: "pa.StringArray"
    texts: "pa.LargeStringArray"


@dataclass(frozen=True)
class Corpus:
    """Documents that a model was trained on: what `split` does not hold out of those of one `source`, or of all."""

    documents: Step[Documents]
    split: Split
    source: str | None = None

    def shards(self, context: Context) -> tuple[FileEntry, ...]:
        """The files that they stand in."""
        return context.open(self.documents).shards

    def texts(self, unit: Unit, shard: FileEntry) -> Iterator[Texts]:
        """Those of a shard, a record batch at a time."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for batch in unit.open(self.documents).batches(shard, ("id", "text", "source")):
            batch, held_out = self.split.parted(batch)
            batch = batch.filter(pa.array(~held_out))
            mine = batch if self.source is None else batch.filter(pc.equal(batch["source"], self.source))
            yield Texts(mine["id"], mine["text"])

    def stands_for(self, shard: FileEntry) -> Json:
        """All that the texts of a shard depend on."""
        return [shard.checksum, canonical(self.split), self.source]


@dataclass(frozen=True)
class Lessons:
    """Labelled examples that a model was fine-tuned on, but for the share of them that was held out."""

    examples: Step[Examples]
    held_out: float

    def shards(self, context: Context) -> tuple[FileEntry, ...]:
        """The files that they stand in."""
        return context.open(self.examples).files(ROWS)

    def texts(self, unit: Unit, shard: FileEntry) -> Iterator[Texts]:
        """Those of a file, some thousands at a time: the strings of each."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        with ParquetFile(unit.open(self.examples).local(shard)) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                rows = [
                    (origin, text_of(json.loads(row)))
                    for origin, row in zip(batch["origin"].to_pylist(), batch["row"].to_pylist(), strict=True)
                    if not is_held_out(origin, self.held_out)
                ]
                yield Texts(pa.array([origin for origin, _ in rows], pa.string()), pa.array([text for _, text in rows], pa.large_string()))

    def stands_for(self, shard: FileEntry) -> Json:
        """All that the texts of a file depend on."""
        return [shard.checksum, self.held_out]


Taught = Corpus | Lessons
