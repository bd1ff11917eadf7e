"""Near-duplicate removal end to end: documents in, kept documents and ledger out. CPU seconds of this process.

    python -m benchmarks.dedup CORPUS WORK [--similarity 0.8]

CORPUS is a folder of *.jsonl with `id`, `text` and `source`; WORK, which must be new, takes the artifacts and drops.jsonl
({"id", "match"} a line, ids as in the corpus), from which recall and precision can be told.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from benchmarks.measuring import own_peak_mb
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.documents import Document, Documents, Tally, total, write_documents, write_dropped
from pipeline.storage import open_store
from pipeline.workflow.events import Advanced, Event
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit, open_artifact


@dataclass(frozen=True, kw_only=True)
class Corpus(Step[Documents]):
    """A corpus of JSON lines as documents, a shard a file."""

    artifact: ClassVar[type[Documents]] = Documents

    folder: str

    def run(self, context: Context) -> Facts:
        return total(receipt.facts for receipt in context.map(self.load, sorted(str(place) for place in Path(self.folder).glob("*.jsonl"))))

    def load(self, unit: Unit, place: str) -> Facts:
        tally = Tally()

        def documents() -> Iterator[Document]:
            with open(place, "rb") as lines:
                for line in lines:
                    row = json.loads(line)
                    document = Document(str(row["id"]), row["text"], row["source"], f"{place}#{row['id']}", "")
                    tally.keep(document)
                    yield document

        write_documents(unit, documents())
        write_dropped(unit, [])
        return tally.facts()


def texts(artifact: Documents) -> Iterator[pa.Scalar]:
    """The texts of an artifact, in order."""
    for shard in artifact.shards:
        for batch in artifact.batches(shard):
            yield from batch["text"]


class PhaseClock:
    """CPU seconds of each phase of a step, told on the way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def __call__(self, event: Event) -> None:
        now = time.process_time()
        if isinstance(event, Advanced):
            self.seconds[event.phase] = self.seconds.get(event.phase, 0.0) + (now - self._since if event.done else 0.0)
        self._since = now


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--similarity", type=float, default=0.8)
    options = parser.parse_args()
    store = open_store(str(options.work / "root"))
    corpus = Corpus(folder=str(options.corpus.absolute()))
    run([corpus], store, InlineExecutor())

    unique, clock = Deduplicate(documents=(corpus,), similarity=options.similarity), PhaseClock()
    since, wall = time.process_time(), time.perf_counter()
    run([unique], store, InlineExecutor(), [clock])
    seconds, wall = time.process_time() - since, time.perf_counter() - wall

    artifact = open_artifact(store, unique)
    dropped = artifact.dropped().to_pylist()
    with open(options.work / "drops.jsonl", "w") as file:
        file.writelines(json.dumps({"id": int(row["id"]), "match": int(row["match"])}) + "\n" for row in dropped)
    size = sum(len(text.as_py().encode()) for text in texts(open_artifact(store, corpus)))
    print(
        json.dumps(
            {
                "megabytes": round(size / 1e6, 1),
                "cpu_seconds": round(seconds, 2),
                "wall_seconds": round(wall, 2),
                "mb_per_core_second": round(size / 1e6 / seconds, 1),
                "peak_mb": own_peak_mb(),
                "phases": {phase: round(spent, 2) for phase, spent in clock.seconds.items()},
                "facts": {name: artifact.facts[name] for name in ("read", "kept", "dropped")},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
