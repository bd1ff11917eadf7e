"""A document, its Arrow schema, and reading and writing shards of documents and of what was dropped.

Shards are Arrow IPC files, zstd-compressed, in record batches of bounded size: any Arrow reader opens them.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.workflow.arrow import leave_pandas_out
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.unit import Unit

leave_pandas_out()  # here, since what makes arrays reads or writes documents
Numbers = NDArray[np.int64]
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("snapshot", pa.string()),
        ("meta", pa.string()),
    ]
)
DROPPED_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),
        ("reason", pa.string()),
        ("match", pa.string()),  # what it is like: the id of an earlier kept document, or SET#LINE of an evaluation set
        ("similarity", pa.float64()),  # how much, from 0 to 1: for a duplicate the true Jaccard similarity, else as the stage says
    ]
)
BATCH_BYTES = 1 << 20
KEPT, DROPPED = "documents", "dropped"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True, slots=True)
class Document:
    """One record of a source. `origin` is LOCATION#record; `meta` holds the record's other fields as JSON."""

    id: str
    text: str
    source: str
    origin: str
    snapshot: str
    meta: str = "{}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A document that a stage did not keep, and why. One that is too like another thing names it, and how much."""

    id: str
    origin: str
    reason: str
    match: str | None = None
    similarity: float | None = None


def document_id(origin: str, text: str) -> str:
    """The stable id of a record: 128 bits of its place and of its text as it was read, in hexadecimal digits."""
    digest = hashlib.blake2b(origin.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(b"\0")
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def meta_json(fields: Mapping[str, Any]) -> str:
    """A record's other fields as canonical JSON in UTF-8.

    What JSON does not know is written as its text (dates, decimals, NaN), bytes as their number, and lone
    surrogates as escapes. Raises RecursionError for fields that are nested too deeply.
    """
    if all(type(value) is str for value in fields.values()):
        form = _flat(fields)
    else:
        try:
            form = _META.encode(fields)
        except ValueError:
            form = _META.encode(_finite(fields))
    return form if is_utf_8(form) else json.dumps(_finite(fields), sort_keys=True, default=_as_text)


def _flat(fields: Mapping[str, str]) -> str:
    """What an encoder makes of fields that are all text, in half the time: records are many."""
    return "{" + ", ".join([f"{encode_basestring(name)}: {encode_basestring(fields[name])}" for name in sorted(fields)]) + "}"


def is_utf_8(text: str) -> bool:
    """Whether text can be written in UTF-8: it holds no lone surrogates."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _finite(value: Any) -> Any:
    """The same value with the numbers that JSON does not know as text."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value


_META = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, default=_as_text)


def write_tables(unit: Unit, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> FileEntry:
    """Write record batches as one file of the artifact, holding one batch in memory at a time."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        draft = Path(folder, "shard.arrow")
        rows = 0
        with pa.ipc.new_file(draft, schema, options=_OPTIONS) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        return unit.write(kind, draft, ".arrow", rows)


def document_batches(documents: Iterable[Document]) -> Iterator[pa.RecordBatch]:
    """Documents as record batches of about BATCH_BYTES of text."""
    rows: list[Document] = []
    size = 0
    for document in documents:
        rows.append(document)
        size += len(document.text)
        if size >= BATCH_BYTES:
            yield _batch(rows, SCHEMA)
            rows, size = [], 0
    if rows:
        yield _batch(rows, SCHEMA)


def _batch(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    values = zip(*map(attrgetter(*schema.names), rows), strict=True)
    columns = [pa.array(column, type=kind) for column, kind in zip(values, schema.types, strict=True)]
    return pa.record_batch(columns, schema=schema)


def write_documents(unit: Unit, documents: Iterable[Document]) -> FileEntry:
    """Write the documents that a unit keeps."""
    return write_tables(unit, KEPT, SCHEMA, document_batches(documents))


def write_dropped(unit: Unit, dropped: Sequence[Dropped]) -> FileEntry:
    """Write what a unit dropped, beside what it kept."""
    return write_tables(unit, DROPPED, DROPPED_SCHEMA, [_batch(dropped, DROPPED_SCHEMA)] if dropped else [])


@contextmanager
def _opened(place: Path, columns: Sequence[str] = ()) -> Iterator[Any]:
    fields = [SCHEMA.get_field_index(name) for name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=sorted(fields))
    with pa.memory_map(str(place)) as source, pa.ipc.open_file(source, options=options) as reader:
        yield reader


class Documents(Artifact):
    """An artifact of documents: shards in order, each with the ledger of what was dropped beside it."""

    @property
    def shards(self) -> tuple[FileEntry, ...]:
        return self.files(KEPT)

    def batches(self, shard: FileEntry, columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The record batches of a shard, one in memory at a time: all columns, or those that are named, in the order of SCHEMA."""
        with _opened(self.local(shard), columns) as reader:
            for place in range(reader.num_record_batches):
                yield reader.get_batch(place)

    def batches_with(self, shard: FileEntry, rows: Numbers, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Only those record batches that hold some of these rows of the shard (in order), each with the number of its first row."""
        place = self.local(shard)
        with _opened(place, ("source",)) as counter, _opened(place, columns) as reader:
            first = 0
            for number in range(counter.num_record_batches):
                count = counter.get_batch(number).num_rows  # of a column that weighs next to nothing
                since, until = np.searchsorted(rows, [first, first + count])
                if since < until:
                    yield first, reader.get_batch(number)
                first += count

    def read(self, shard: FileEntry) -> Iterator[Document]:
        """The documents of a shard, in order."""
        for batch in self.batches(shard):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield Document(*row)

    def dropped(self) -> pa.Table:
        """Everything that this stage dropped, in order."""
        tables = [pa.ipc.open_file(pa.memory_map(str(self.local(entry)))).read_all() for entry in self.files(DROPPED)]
        return pa.concat_tables(tables) if tables else DROPPED_SCHEMA.empty_table()


@dataclass
class Tally:
    """The counts of a stage over documents, as its manifest keeps them (characters are Unicode code points)."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    sources: dict[str, dict[str, int]] = field(default_factory=dict)

    def keep(self, document: Document) -> None:
        self.read += 1
        self.kept += 1
        source = self.sources.setdefault(document.source, {"kept": 0, "characters": 0, "dropped": 0})
        source["kept"] += 1
        source["characters"] += len(document.text)

    def keep_batch(self, batch: pa.RecordBatch) -> None:
        """Count the documents of a record batch, all of which are kept."""
        self.read += batch.num_rows
        self.kept += batch.num_rows
        lengths = pa.table({"source": batch["source"], "characters": pc.utf8_length(batch["text"])})
        for row in lengths.group_by("source").aggregate([("characters", "sum"), ("characters", "count")]).to_pylist():
            counts = self.sources.setdefault(row["source"], {"kept": 0, "characters": 0, "dropped": 0})
            counts["kept"] += row["characters_count"]
            counts["characters"] += row["characters_sum"]

    def drop(self, reason: str, source: str) -> None:
        self.read += 1
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.sources.setdefault(source, {"kept": 0, "characters": 0, "dropped": 0})["dropped"] += 1

    def facts(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "sources": {name: dict(counts) for name, counts in sorted(self.sources.items())},
        }


def total(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of a stage from those of its units."""
    whole = Tally()
    for part in facts:
        whole.read += part["read"]
        whole.kept += part["kept"]
        for reason, count in part["dropped"].items():
            whole.dropped[reason] = whole.dropped.get(reason, 0) + count
        for name, counts in part["sources"].items():
            mine = whole.sources.setdefault(name, {"kept": 0, "characters": 0, "dropped": 0})
            for key, count in counts.items():
                mine[key] += count
    return whole.facts()
