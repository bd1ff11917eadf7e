"""Documents into token shards: one unit a shard, and every text either for training or held out for validation."""

import logging
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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
READ = ("id", "text", "source")
COUNTED = ("documents", "tokens", "bytes")


@dataclass(frozen=True, kw_only=True)
class Tokenize(Step[TokenShards]):
    """Encode every document; what `split` holds out goes to the validation shards.

    Facts: `documents` (or parts of them), `tokens` and `bytes` (UTF-8) of each kind; `sources`: what each gives to training.
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
            "kept": self.split.kept(*(facts["documents"][kind] for kind in KINDS)),
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
                return self._encode(unit, documents.batches(shard, READ), encoders.compared, tokenizer)
            except NotTheReference as problem:
                log.warning("the reference encodes %s, since %s", shard.path, problem)
        return self._encode(unit, documents.batches(shard, READ), encoders.reference, tokenizer)

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
        batch, held_out = self.split.parted(batch)
        order, groups = _grouped(batch.column("source"), held_out)
        texts = batch.column("text").to_pylist()
        sizes = pc.binary_length(batch.column("text")).to_numpy()[order]
        encoded = encoder.encode_batch([texts[place] for place in order])
        rows = shard_batch(batch.column("id").take(order), encoded, batch.column("source").take(order), writers[TRAIN].vocab_size)
        for group in groups:
            mine = rows.slice(group.start, group.stop - group.start)
            writers[group.kind].add(group.source, mine)
            found = {"documents": mine.num_rows, "tokens": token_count(mine)}
            for name, count in (found | {"bytes": int(sizes[group.start : group.stop].sum(dtype=np.int64))}).items():
                counts[name][group.kind] += count
            if group.kind == TRAIN:
                _add(counts["sources"].setdefault(group.source, dict.fromkeys(found, 0)), found)


@dataclass(frozen=True)
class _Group:
    """Documents of one kind and one source, from one place to another in an order."""

    kind: str
    source: str
    start: int
    stop: int


def _grouped(sources: pa.Array, held_out: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[_Group]]:
    """An order that keeps documents of one kind and source together, sources in order of their first document, and its groups."""
    encoded = sources.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    keys = held_out * len(names) + encoded.indices.to_numpy()
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=-1))
    stops = [*starts[1:].tolist(), len(keys)]
    return order, [
        _Group(KINDS[key // len(names)], names[key % len(names)], start, stop)
        for key, start, stop in zip(sorted_keys[starts].tolist(), starts.tolist(), stops, strict=True)
    ]


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
