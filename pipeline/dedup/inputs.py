"""The inputs of deduplication as one sequence of documents: in order of the steps, their shards, and rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.documents import Documents
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Context, Step


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard of an input, and the number of documents before it in all inputs."""

    source: int
    entry: FileEntry
    first: int

    @property
    def count(self) -> int:
        assert self.entry.rows is not None
        return self.entry.rows


def shards_of(context: Context, documents: Sequence[Step[Documents]]) -> Iterator[Shard]:
    """The shards of all inputs, in order."""
    first = 0
    for source, step in enumerate(documents):
        for entry in context.open(step).shards:
            shard = Shard(source=source, entry=entry, first=first)
            yield shard
            first += shard.count
