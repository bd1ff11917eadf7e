"""A corpus of literal documents, as a step that later steps can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.documents import Document, Documents, Tally, document_id, total, write_documents
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Literal(Step[Documents]):
    """Documents written down in the recipe: shards of (source, text)."""

    artifact: ClassVar[type[Artifact]] = Documents
    shards: tuple[tuple[tuple[str, str], ...], ...]

    def run(self, context: Context) -> Facts:
        return total([receipt.facts for receipt in context.map(self.keep, list(enumerate(self.shards)))])

    def keep(self, unit: Unit, item: tuple[int, Sequence[tuple[str, str]]]) -> Facts:
        number, rows = item
        tally = Tally()
        documents = []
        for place, (source, text) in enumerate(rows):
            origin = f"shard-{number}#{place}"
            document = Document(document_id(origin, text), text, source, origin, "now")
            tally.keep(document)
            documents.append(document)
        write_documents(unit, documents)
        return tally.facts()


def literal(texts: Sequence[str], shards: int = 1, source: str = "here") -> Literal:
    """A corpus of one source, its texts dealt to shards in turn."""
    return Literal(shards=tuple(tuple((source, text) for text in texts[number::shards]) for number in range(shards)))
