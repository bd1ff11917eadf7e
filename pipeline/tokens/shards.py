"""Token shards: uncompressed Arrow IPC files that are mapped into memory, a row a document.

Columns: `id`, `tokens` (a list of uint16, or of uint32 for vocabularies above 65,536), `source`. A record batch
holds documents of one source, so that a source can be picked without reading rows; it is cut before it grows large.
The ids are those of the text alone: the token that ends a text is put after each document when they are packed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tokens.encoder import Encoded
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.unit import Unit

TRAIN, VALIDATION = "train", "validation"
WAITING_TOKENS = 1 << 22
"""So many tokens wait in memory for others of their source, before all are written."""


class TokenShards(Artifact):
    """The token shards of a corpus, for training and for validation."""

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return int(self.facts["vocabulary"])

    @property
    def end_of_text(self) -> int:
        """The id that ends a document. It is in no row."""
        return int(self.facts["end_of_text"])

    def batches(self, kind: str) -> Iterator[pa.RecordBatch]:
        """The record batches of all shards of a kind ("train" or "validation"), in order, without copying them."""
        for entry in self.files(kind):
            reader = pa.ipc.open_file(pa.memory_map(str(self.local(entry))))
            for place in range(reader.num_record_batches):
                yield reader.get_batch(place)


def token_type(vocab_size: int) -> Any:
    """The narrowest type that holds every id of a vocabulary."""
    return pa.uint16() if vocab_size <= 1 << 16 else pa.uint32()


def shard_schema(vocab_size: int) -> pa.Schema:
    """The columns of a token shard."""
    return pa.schema([("id", pa.string()), ("tokens", pa.list_(token_type(vocab_size))), ("source", pa.string())])


def shard_batch(document_ids: pa.Array, encoded: Encoded, sources: pa.Array, vocab_size: int) -> pa.RecordBatch:
    """Encoded documents as rows of a token shard."""
    schema = shard_schema(vocab_size)
    flat = pa.array(encoded.ids.astype(token_type(vocab_size).to_pandas_dtype()))
    tokens = pa.ListArray.from_arrays(pa.array(encoded.offsets.astype(np.int32)), flat, type=schema.field("tokens").type)
    return pa.record_batch([document_ids, tokens, sources], schema=schema)


def token_count(rows: pa.RecordBatch) -> int:
    """The tokens of all rows."""
    return int(pc.sum(pc.list_value_length(rows.column("tokens"))).as_py() or 0)


@dataclass
class ShardWriter:
    """Writes one shard of one kind: documents of one source together, sources in order of their first document."""

    place: Path
    vocab_size: int
    documents: int = 0
    waiting: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    size: int = 0  # tokens that wait

    def __post_init__(self) -> None:
        self.writer = pa.ipc.new_file(self.place, shard_schema(self.vocab_size))

    def add(self, source: str, rows: pa.RecordBatch) -> None:
        """Add documents of one source."""
        self.waiting.setdefault(source, []).append(rows)
        self.documents += rows.num_rows
        self.size += token_count(rows)
        if self.size >= WAITING_TOKENS:
            self._flush()

    def commit(self, unit: Unit, kind: str) -> FileEntry | None:
        """Add the file to the artifact; none where no document was added."""
        self._flush()
        self.writer.close()
        return unit.write(kind, self.place, ".arrow", self.documents) if self.documents else None

    def _flush(self) -> None:
        for rows in self.waiting.values():
            for batch in pa.Table.from_batches(rows).combine_chunks().to_batches():
                self.writer.write_batch(batch)
        self.waiting, self.size = {}, 0
