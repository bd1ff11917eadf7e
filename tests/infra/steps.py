"""Steps that tests run on a cluster: a small corpus, made and sifted in many units, with scratch files between phases."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.documents import Document, Documents, Dropped, Tally, document_id, total, write_documents, write_dropped
from pipeline.storage import Store
from pipeline.workflow.artifact import FileEntry, read_manifest
from pipeline.workflow.fingerprint import execution
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Grow(Step[Documents]):
    """Documents out of nothing, the same each time."""

    artifact = Documents
    shards: int = 8
    documents: int = 20
    pause: float = execution(0.0)
    """Seconds that a document takes."""

    def run(self, context: Context) -> Facts:
        return total(receipt.facts for receipt in context.map(self.grow, range(self.shards)))

    def grow(self, unit: Unit, shard: int) -> Facts:
        tally = Tally()
        write_documents(unit, self._grown(shard, tally))
        write_dropped(unit, [])
        return tally.facts()

    def _grown(self, shard: int, tally: Tally) -> Iterator[Document]:
        for number in range(self.documents):
            time.sleep(self.pause)
            text = hashlib.sha256(f"{shard}/{number}".encode()).hexdigest() * (1 + number % 7)
            origin = f"grown/{shard}#{number}"
            document = Document(document_id(origin, text), text, "grown", origin, "first")
            tally.keep(document)
            yield document


@dataclass(frozen=True, kw_only=True)
class Sift(Step[Documents]):
    """Drops the documents that are longer than the mean, which is known when all have been weighed."""

    artifact = Documents
    documents: Grow

    def run(self, context: Context) -> Facts:
        shards = context.open(self.documents).shards
        weighed = list(context.map(self.weigh, shards))
        weights = tuple(receipt.scratch[0] for receipt in weighed)
        return total(receipt.facts for receipt in context.map(self.sift, [(shard, weights) for shard in shards]))

    def weigh(self, unit: Unit, shard: FileEntry) -> Facts:
        lengths = [len(document.text) for document in unit.open(self.documents).read(shard)]
        time.sleep(self.documents.pause * len(lengths))
        unit.scratch("lengths", " ".join(map(str, lengths)).encode(), ".txt")
        return {}

    def sift(self, unit: Unit, item: tuple[FileEntry, tuple[FileEntry, ...]]) -> Facts:
        shard, weights = item
        lengths = [int(length) for entry in weights for length in unit.local(entry).read_text().split()]
        tally, dropped = Tally(), list[Dropped]()
        write_documents(unit, self._kept(unit, shard, sum(lengths) / len(lengths), tally, dropped))
        write_dropped(unit, dropped)
        return tally.facts()

    def _kept(self, unit: Unit, shard: FileEntry, most: float, tally: Tally, dropped: list[Dropped]) -> Iterator[Document]:
        for document in unit.open(self.documents).read(shard):
            time.sleep(self.documents.pause)
            if len(document.text) <= most:
                tally.keep(document)
                yield document
            else:
                tally.drop("too-long", document.source)
                dropped.append(Dropped(document.id, document.origin, "too-long"))


def corpus(pause: float = 0.0) -> Sift:
    return Sift(documents=Grow(pause=pause))


def left(step: Step[Any], store: Store) -> dict[str, Any]:
    """All that a step and its inputs left: what their manifests say but for provenance, and the names of all files."""
    found: dict[str, Any] = {}
    for part in (step, *step.inputs.values()):
        manifest = read_manifest(store, part.address)
        assert manifest is not None
        there = sorted(entry.path for entry in store.list(part.address))
        found[part.address] = (manifest.recipe, manifest.inputs, manifest.files, dict(manifest.facts), there)
    return found
