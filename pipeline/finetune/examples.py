"""Labelled examples: records read once, in a task's own words, with everything that cannot be learned from counted."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from pipeline.documents import Dropped
from pipeline.errors import RequestError
from pipeline.finetune.base import FinetuneTask, Row, Unfit
from pipeline.finetune.records import Labelled, RecordFiles
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

ROWS, DROPPED = "rows", "dropped"
ROWS_AT_ONCE = 1 << 14
SHOWN_COLUMNS = 12


class Example(NamedTuple):
    """A row and where it was read."""

    origin: str
    row: Row


class Examples(Artifact):
    """Rows of a task, in their order."""

    def rows(self) -> Iterator[Example]:
        """Each row, with where it was read."""
        from pyarrow.parquet import ParquetFile

        for entry in self.files(ROWS):
            with ParquetFile(self.local(entry)) as file:
                for batch in file.iter_batches(ROWS_AT_ONCE):
                    for origin, row in zip(*(batch.column(name).to_pylist() for name in ("origin", "row")), strict=True):
                        yield Example(origin, json.loads(row))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in order of their names."""
        return tuple(sorted(self.facts["labels"]))


@dataclass(frozen=True, kw_only=True)
class ReadExamples(Step[Examples]):
    """Read labelled records. Facts: `read`, `kept`, `dropped` {reason: n}, `labels` {label: rows that have it}."""

    artifact: ClassVar[type[Artifact]] = Examples
    files: RecordFiles
    task: FinetuneTask

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.read, (self.files,))
        return receipt.facts

    def read(self, unit: Unit, files: RecordFiles) -> Facts:
        """One unit: all files, since sets of labelled records are small."""
        files.check_unchanged()
        kept, dropped, labels = list[Example](), list[Dropped](), Counter[str]()
        for record in files.records():
            settled = settle(record, self.task)
            if isinstance(settled, str):
                dropped.append(Dropped("", record.origin, settled))
            else:
                kept.append(Example(record.origin, settled))
                labels.update(set(self.task.labels(settled)))
        self._write(unit, ROWS, {"origin": [item.origin for item in kept], "row": [as_json(item.row) for item in kept]})
        self._write(unit, DROPPED, {"origin": [item.origin for item in dropped], "reason": [item.reason for item in dropped]})
        reasons = Counter(item.reason for item in dropped)
        return {"read": len(kept) + len(dropped), "kept": len(kept), "dropped": dict(reasons), "labels": dict(sorted(labels.items()))}

    def _write(self, unit: Unit, kind: str, columns: dict[str, list[str]]) -> None:
        unit.write(kind, parquet(columns), ".parquet", len(columns["origin"]))


@dataclass(frozen=True)
class Survey:
    """What a look at all records found."""

    kept: int
    labels: frozenset[str]


def survey(files: RecordFiles, task: FinetuneTask) -> Survey:
    """Look at all records before anything is started; raises RequestError for a set that cannot be learned from."""
    columns, labels, reasons, kept = dict[str, None](), set[str](), Counter[str](), 0
    for record in files.records():
        if isinstance(record, Labelled):
            columns |= dict.fromkeys(record.values)
        settled = settle(record, task)
        if isinstance(settled, str):
            reasons[settled] += 1
        else:
            kept += 1
            labels |= set(task.labels(settled))
    where = ", ".join(files.locations)
    missing = [name for name in task.columns if name not in columns]
    if columns and missing:
        raise RequestError(f"{where} has no column {missing[0]!r}, only {_listed(list(columns))}: {_remedy(task, missing[0])}")
    if not kept:
        found = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3)) or "no record"
        raise RequestError(f"{where} has nothing to learn from for {task.name} ({found}): give records with {', '.join(task.columns)}")
    return Survey(kept, frozenset(labels))


def settle(record: Labelled | Dropped, task: FinetuneTask) -> Row | str:
    """A record as a row of the task, or why it is none."""
    if isinstance(record, Dropped):
        return record.reason
    try:
        return task.row(record.values)
    except Unfit as problem:
        return str(problem)


def _remedy(task: FinetuneTask, column: str) -> str:
    """Which field of the task names a column."""
    field = next((name for name, value in vars(task).items() if value == column), None)
    return f"name the right one by --task.{field.replace('_', '-')}" if field else f"{task.name} needs it"


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN_COLUMNS
    return ", ".join(names[:SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def as_json(value: Any) -> str:
    """The one spelling of a value as JSON."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def parquet(columns: dict[str, list[str]]) -> bytes:
    """Columns of text as the bytes of a Parquet file; half characters become question marks."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    sink = pa.BufferOutputStream()
    arrays = {name: pa.array([value.encode("utf-8", "replace") for value in values], pa.binary()) for name, values in columns.items()}
    write_table(pa.table({name: array.cast(pa.string()) for name, array in arrays.items()}), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
