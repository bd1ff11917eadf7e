"""Write the same records into every container that the formats read."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import zstandard

from pipeline.documents import Document, Dropped
from pipeline.sources.files import Files

Records = Sequence[dict[str, str]]
NAMES = ["records.jsonl", "records.json", "records.csv", "records.tsv", "records.parquet", "records.arrow", "records.arrows"]
COMPRESSED = {"": bytes, ".gz": partial(gzip.compress, mtime=0), ".zst": zstandard.ZstdCompressor().compress}


def write(path: Path, records: Records) -> Path:
    """Write records (all with the same fields) as the name of the file says."""
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    compression = path.name.removeprefix(plain)
    path.write_bytes(COMPRESSED[compression](encoded(plain.rsplit(".", 1)[1], records)))
    return path


def encoded(suffix: str, records: Records) -> bytes:
    match suffix:
        case "jsonl":
            return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        case "json":
            return json.dumps(list(records), ensure_ascii=False, indent=1).encode()
        case "csv" | "tsv":
            return _delimited("\t" if suffix == "tsv" else ",", records)
        case "parquet":
            sink = io.BytesIO()
            parquet.write_table(_table(records), sink, row_group_size=7)
            return sink.getvalue()
    sink = io.BytesIO()
    table = _table(records)
    with (pa.ipc.new_file if suffix == "arrow" else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return sink.getvalue()


def _delimited(delimiter: str, records: Records) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    names = list(records[0])
    writer.writerows([names, *([record[name] for name in names] for record in records)])
    return sink.getvalue().encode()


def _table(records: Records) -> pa.Table:
    return pa.table({name: pa.array([record[name] for record in records], pa.string()) for name in records[0]})


def read(location: str | Path, **options: Any) -> list[Document | Dropped]:
    """Everything that a source at a location says."""
    source = Files.at(str(location), **options)
    return [record for partition in source.partitions() for record in source.read(partition)]


def kept(location: str | Path, **options: Any) -> list[Document]:
    """What is read, none of it quarantined."""
    records = read(location, **options)
    assert all(isinstance(record, Document) for record in records), records
    return [record for record in records if isinstance(record, Document)]


def quarantined(location: str | Path, **options: Any) -> list[tuple[str, str]]:
    """The place (without the location) and reason of each record that is not kept."""
    return [(record.origin.rsplit("#")[1], record.reason) for record in read(location, **options) if isinstance(record, Dropped)]
