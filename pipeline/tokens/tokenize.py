"""Documents into token shards: one unit a shard, and every document either for training or held out for validation."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import Documents
from pipeline.errors import RequestError
from pipeline.tokens.encoder import Encoder, NotTheReference, open_encoders
from pipeline.tokens.shards import TRAIN, VALIDATION, ShardWriter, TokenShards, shard_batch, token_count
from pipeline.tokens.split import Split
from pipeline.tokens.tokenizer import TOKENIZER, TokenizerFiles, TrainTokenizer
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

log = logging.getLogger(__name__)
KINDS = (TRAIN, VALIDATION)
COUNTED = ("documents", "tokens", "bytes")


@dataclass(frozen=True, kw_only=True)
class Tokenize(Step[TokenShards]):
    """Encode every document; those that `split` holds out go to the validation shards.

    Facts: `documents`, `tokens` and `bytes` (UTF-8) of each kind; `sources`: what each gives to training.
    """

    artifact: ClassVar[type[Artifact]] = TokenShards
    documents: Step[Documents]
    tokenizer: Step[TokenizerFiles]
    split: Split = field(default_factory=Split)

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, TrainTokenizer) and self.tokenizer.split != self.split:
            raise RequestError(
                f"split is {self.split}, but the tokenizer was trained with {self.tokenizer.split},"
                " on documents that would be held out: give both the same split"
            )

    def run(self, context: Context) -> Facts:
        documents, tokenizer = context.open(self.documents), context.open(self.tokenizer)
        encoded = context.map(self.encode, documents.shards, stands_for=lambda shard: [shard.checksum, tokenizer.manifest.content])
        facts = total_facts([receipt.facts for receipt in encoded])
        read = sum(shard.rows or 0 for shard in documents.shards)
        return {
            "read": read,
            "kept": sum(facts["documents"].values()),
            "dropped": {},
            **facts,
            "vocabulary": tokenizer.vocab_size,
            "end_of_text": tokenizer.end_of_text,
        }

    def encode(self, unit: Unit, shard: FileEntry) -> Facts:
        """One unit: a shard, by the fast encoder as long as it agrees with the reference, else by the reference."""
        documents, tokenizer = unit.open(self.documents), unit.open(self.tokenizer)
        encoders = open_encoders(tokenizer.path / TOKENIZER)
        if encoders.compared is not None:
            try:
                return self._encode(unit, documents.batches(shard), encoders.compared, tokenizer)
            except NotTheReference as problem:
                log.warning("the reference encodes %s, since %s", shard.path, problem)
        return self._encode(unit, documents.batches(shard), encoders.reference, tokenizer)

    def _encode(self, unit: Unit, batches: Iterable[pa.RecordBatch], encoder: Encoder, tokenizer: TokenizerFiles) -> Facts:
        counts: dict[str, Any] = {name: dict.fromkeys(KINDS, 0) for name in COUNTED} | {"sources": {}}
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            writers = {kind: ShardWriter(Path(folder, kind), tokenizer.vocab_size) for kind in KINDS}
            for batch in batches:
                self._encode_batch(batch, encoder, writers, counts)
            for kind, writer in writers.items():
                writer.commit(unit, kind)
        return counts

    def _encode_batch(self, batch: pa.RecordBatch, encoder: Encoder, writers: dict[str, ShardWriter], counts: dict[str, Any]) -> None:
        encoded = encoder.encode_batch(batch.column("text").to_pylist())
        rows = shard_batch(batch.column("id"), encoded, batch.column("source"), writers[TRAIN].vocab_size)
        sizes = pc.binary_length(batch.column("text"))
        held_out = self.split.held_out_of(batch.column("id").to_pylist())
        for kind, chosen in ((TRAIN, ~held_out), (VALIDATION, held_out)):
            counts["bytes"][kind] += pc.sum(sizes.filter(pa.array(chosen))).as_py() or 0
            for source, mine in _by_source(rows.filter(pa.array(chosen))):
                writers[kind].add(source, mine)
                found = {"documents": mine.num_rows, "tokens": token_count(mine)}
                for name, count in found.items():
                    counts[name][kind] += count
                if kind == TRAIN:
                    _add(counts["sources"].setdefault(source, dict.fromkeys(found, 0)), found)


def _by_source(rows: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each source, in order; sources in order of their first row."""
    for source in pc.unique(rows.column("source")).to_pylist():
        yield source, rows.filter(pc.equal(rows.column("source"), source))


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        counts[name] += count


def total_facts(parts: Iterable[Facts]) -> dict[str, Any]:
    """The counts of all units together; sources in order of their names."""
    whole: dict[str, Any] = {name: dict.fromkeys(KINDS, 0) for name in COUNTED}
    sources: dict[str, dict[str, int]] = {}
    for part in parts:
        for name in COUNTED:
            _add(whole[name], part[name])
        for source, counts in part["sources"].items():
            _add(sources.setdefault(source, dict.fromkeys(counts, 0)), counts)
    return {**whole, "sources": dict(sorted(sources.items()))}
