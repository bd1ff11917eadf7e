"""What was asked and answered, kept as a Parquet file a task, so that every figure leads back to its examples."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluate.base import Record
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.unit import Unit

ANSWERS = "answers"
SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("number", pa.int64()),  # of the example, from 0
        ("asked", pa.large_string()),
        ("answered", pa.large_string()),
        ("expected", pa.large_string()),
        ("scores", pa.string()),  # as JSON
    ]
)
ROWS_AT_ONCE = 1000


class Kept(NamedTuple):
    """An example with its answer and scores."""

    record: Record
    scores: Mapping[str, float]


def write_answers(unit: Unit, task: str, answers: Iterable[Kept]) -> None:
    """Add the answers of a task to the artifact; a thousand are held in memory at a time."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        draft, rows = Path(folder, "answers.parquet"), 0
        waiting = iter(answers)
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            while some := list(islice(waiting, ROWS_AT_ONCE)):
                writer.write_batch(_batch(task, rows, some))
                rows += len(some)
        unit.write(ANSWERS, draft, ".parquet", rows)


def _batch(task: str, first: int, answers: list[Kept]) -> pa.RecordBatch:
    rows = [
        {
            "task": task,
            "number": number,
            **{name: None if text is None else _clean(text) for name, text in kept.record._asdict().items()},
            "scores": json.dumps(dict(kept.scores), ensure_ascii=False),
        }
        for number, kept in enumerate(answers, first)
    ]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def _clean(text: str) -> str:
    """A text as Arrow takes it."""
    return text.encode("utf-8", "replace").decode()


def read_answers(artifact: Artifact, task: str) -> Iterator[Kept]:
    """The answers of a task of an evaluation, in order."""
    for entry in artifact.files(ANSWERS):
        with pq.ParquetFile(artifact.local(entry)) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    if row["task"] != task:
                        break
                    yield Kept(Record(row["asked"], row["answered"], row["expected"]), json.loads(row["scores"]))
