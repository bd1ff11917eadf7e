"""Arrow and Parquet files as record batches; run as a script, it is the child of `inspector.py`.

Imports nothing of this project, so that the script stands alone.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEMORY_BYTES = 4 << 30
"""The private memory that the child may use (where the system can bound it)."""
ROWS = 512
"""Rows that are decoded at once."""
DAMAGED, BOMB = "damaged-file", "decompression-limit"


def batches(path: Path, kind: str) -> Iterator[Any]:
    """The record batches of a "parquet" or "arrow" file, of at most ROWS rows, not validated; raises what pyarrow raises."""
    read = _parquet_batches if kind == "parquet" else _arrow_batches
    for batch in read(path):
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def _parquet_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path, memory_map=True, pre_buffer=False, buffer_size=1 << 20) as file:
        yield from file.iter_batches(batch_size=ROWS, use_threads=False)


def _arrow_batches(path: Path) -> Iterator[Any]:
    """Arrow's two containers, the file and the stream, are told apart by how they begin."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if is_file:
            with pa.ipc.open_file(source) as reader:
                yield from (reader.get_batch(place) for place in range(reader.num_record_batches))
        else:
            with pa.ipc.open_stream(source) as reader:
                yield from reader


def bytes_for_strings(batch: Any) -> Any:
    """The same batch with its string columns as binary, so that one wrong character is one wrong record."""
    import pyarrow as pa

    kinds = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    columns = [column.view(kinds[column.type]) if column.type in kinds else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def inspect(path: Path, kind: str, limit: int) -> str | None:
    """Why a file cannot be read; None where it can, and decodes to at most `limit` bytes."""
    try:
        for batch in batches(path, kind):
            bytes_for_strings(batch).validate(full=True)
            limit -= batch.nbytes
            if limit < 0:
                return BOMB
    except MemoryError:
        return BOMB
    except Exception:
        return DAMAGED
    return None


def _bound_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        return


def main() -> None:
    """Answer each question on standard input with one line."""
    _bound_memory()
    for line in sys.stdin:
        path, kind, limit = json.loads(line)
        print(json.dumps(inspect(Path(path), kind, limit)), flush=True)


if __name__ == "__main__":
    main()
