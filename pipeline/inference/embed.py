"""Texts as vectors: the hidden states of a checkpoint, pooled over each document, as Parquet tables."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.documents import Documents, Dropped, write_dropped
from pipeline.errors import RequestError
from pipeline.inference.vectors import VECTORS, Floats, Pooling, Vectors
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    from pipeline.inference.hidden_states import HiddenStates, Window

MODEL = "model"
READ = ("id", "text", "origin")
DOCUMENTS_A_UNIT = 512
GROUP_TOKENS = 1 << 15
"""Hidden states that are held at once, but for those of one longer document."""
TEXTS_AT_ONCE = 64
NO_TOKENS = "no-tokens"
"""Why a document has no vector: the tokenizer makes nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Embed(Step[Vectors]):
    """A vector for each document. Columns: `id`, `origin`, `tokens`, `windows`, `vector`; with `hidden`, also `token_ids` and `hidden`.

    A text that is longer than the model's context is read in windows that do not overlap, and its vector is the mean of theirs, weighted
    by their tokens. The bytes are the same for any number of workers on CPUs of one kind; a GPU rounds otherwise.

    Facts: `read`, `kept`, `dropped`, `tokens`, `windows`, `longer` (documents that needed several windows), `width`, `context`.
    """

    artifact: ClassVar[type[Artifact]] = Vectors
    checkpoint: Step[Any]
    """What leaves a folder that transformers opens."""
    documents: tuple[Step[Documents], ...]
    pooling: Pooling = Pooling()
    hidden: bool = False
    """Keep the state of every token too."""

    def __post_init__(self) -> None:
        if not self.documents:
            raise RequestError("documents is empty: name at least one step whose documents are to be embedded")

    def run(self, context: Context) -> Facts:
        model = context.open(self.checkpoint)
        parts = [part for place, step in enumerate(self.documents) for part in _parts(place, context.open(step))]
        receipts = context.map(
            self.embed, parts, stands_for=lambda part: [part.shard.checksum, part.start, part.stop, model.manifest.content]
        )
        return _total([receipt.facts for receipt in receipts])

    def embed(self, unit: Unit, part: "Part") -> Facts:
        """One unit: some documents of a shard. What the tokenizer makes nothing of is dropped."""
        model = open_states(unit.open(self.checkpoint).folder(MODEL), self.pooling.layer)
        documents = unit.open(self.documents[part.step])
        counts, drops = Counter[str](), list[Dropped]()
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            draft, writer = Path(folder, "vectors.parquet"), None
            for group in _groups(_tokenized(_rows(documents, part), model)):
                kept = [text for text in group if text.windows]
                drops += [Dropped(text.id, text.origin, NO_TOKENS) for text in group if not text.windows]
                if kept:
                    table = self._table(kept, model, counts)
                    writer = writer or pq.ParquetWriter(draft, table.schema, compression="zstd")
                    writer.write_table(table)
            if writer is not None:
                writer.close()
                unit.write(VECTORS, draft, ".parquet", counts["kept"])
        if drops:
            write_dropped(unit, drops)
        return {**counts, "read": part.stop - part.start, "dropped": len(drops), "context": model.context}

    def _table(self, texts: "Sequence[Text]", model: "HiddenStates", counts: Counter[str]) -> pa.Table:
        """The rows of some texts, in order."""
        states = iter(model.states([window for text in texts for window in text.windows]))
        owned = [list(islice(states, len(text.windows))) for text in texts]
        vectors = np.stack([self.pooling.vector(windows) for windows in owned])
        counts["kept"] += len(texts)
        counts["tokens"] += sum(text.tokens for text in texts)
        counts["windows"] += sum(len(text.windows) for text in texts)
        counts["longer"] += sum(len(text.windows) > 1 for text in texts)
        counts["width"] = vectors.shape[1]
        columns = {
            "id": pa.array([text.id for text in texts], pa.string()),
            "origin": pa.array([text.origin for text in texts], pa.string()),
            "tokens": pa.array([text.tokens for text in texts], pa.int32()),
            "windows": pa.array([len(text.windows) for text in texts], pa.int32()),
            "vector": _fixed(vectors),
        }
        return pa.table(columns | (_hidden(texts, owned) if self.hidden else {}))


@dataclass(frozen=True)
class Part:
    """Some documents of a shard: the rows from `start` to `stop`."""

    step: int
    shard: FileEntry
    start: int
    stop: int


@dataclass(frozen=True)
class Text:
    """A document, as the model reads it."""

    id: str
    origin: str
    windows: "list[Window]"

    @property
    def tokens(self) -> int:
        return sum(len(window.tokens) for window in self.windows)


@lru_cache(maxsize=1)
def open_states(folder: Path, layer: int) -> "HiddenStates":
    """A model, kept open for the units that follow in this process."""
    from pipeline.inference.hidden_states import HiddenStates

    return HiddenStates(folder, layer)


def _parts(step: int, documents: Documents) -> Iterator[Part]:
    for shard in documents.shards:
        rows = shard.rows or 0
        for start in range(0, rows, DOCUMENTS_A_UNIT):
            yield Part(step, shard, start, min(start + DOCUMENTS_A_UNIT, rows))


def _rows(documents: Documents, part: Part) -> Iterator[tuple[str, str, str]]:
    """The (id, text, origin) of the documents of a part, in order."""
    wanted = np.arange(part.start, part.stop)
    for first, batch in documents.batches_with(part.shard, wanted, READ):
        mine = batch.slice(max(0, part.start - first), part.stop - max(part.start, first))
        yield from zip(*(mine.column(name).to_pylist() for name in READ), strict=True)


def _tokenized(rows: Iterator[tuple[str, str, str]], model: "HiddenStates") -> Iterator[Text]:
    while some := list(islice(rows, TEXTS_AT_ONCE)):
        windows = model.windows([text for _, text, _ in some])
        yield from (Text(name, origin, own) for (name, _, origin), own in zip(some, windows, strict=True))


def _groups(texts: Iterator[Text]) -> Iterator[list[Text]]:
    """Texts in order, in runs of about GROUP_TOKENS tokens."""
    size = 0

    def number(text: Text) -> int:
        nonlocal size
        place = size // GROUP_TOKENS
        size += text.tokens
        return place

    for _, group in groupby(texts, key=number):
        yield list(group)


def _fixed(rows: Floats) -> pa.Array:
    """Rows [N, D] as a column of lists of D numbers."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def _hidden(texts: Sequence[Text], owned: Sequence[Sequence[Floats]]) -> dict[str, pa.Array]:
    """The tokens of each text, and the state of each."""
    offsets = pa.array(np.cumsum([0, *(text.tokens for text in texts)]), pa.int32())
    ids = np.concatenate([np.array(window.tokens, np.int32) for text in texts for window in text.windows])
    states = np.concatenate([states for windows in owned for states in windows])
    return {"token_ids": pa.ListArray.from_arrays(offsets, pa.array(ids)), "hidden": pa.ListArray.from_arrays(offsets, _fixed(states))}


def _total(parts: Sequence[Facts]) -> Facts:
    """The counts of all units together."""
    whole = {name: sum(part.get(name, 0) for part in parts) for name in ("read", "kept", "tokens", "windows", "longer")}
    dropped = sum(part["dropped"] for part in parts)
    sizes = {name: max((part.get(name, 0) for part in parts), default=0) for name in ("width", "context")}
    return {**whole, "dropped": {NO_TOKENS: dropped} if dropped else {}, **sizes}
