"""Excerpts of documents, to be shown: what was dropped, what passed narrowly, and duplicates beside what they repeat.

They are a file of documents like any other of an artifact (`documents/…`, with an `id`), so that forgetting a document finds them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import Document
from pipeline.report.look.choice import Cluster, Shown

FOUND = pa.schema([("id", pa.string()), ("source", pa.string()), ("origin", pa.string()), ("text", pa.large_string())])
EXCERPTS = pa.schema(
    [
        *FOUND,
        ("start", pa.int64()),  # characters of the document before the excerpt
        ("characters", pa.int64()),  # of the document, as far as it was fetched
        ("role", pa.string()),
        ("stage", pa.string()),  # for what passed narrowly, the filter
        ("reason", pa.string()),  # for what passed narrowly, the change that would have dropped it
        ("similarity", pa.float64()),
    ]
)
FETCHED = 50_000
"""Characters of a document that are brought together: a difference behind them is not seen."""
BEGINNING = 300
COMPARED, BEFORE = 6_000, 300
"""Characters of a duplicate that are shown, and how many of them come before the first difference."""
DROPPED, NARROW, ORIGINAL, DUPLICATE = "dropped", "narrow", "original", "duplicate"


def found(shard: Path, document_ids: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """FOUND: the documents of a shard with these ids, as far as they are to be compared. Only texts that stand beside one are read."""
    wanted, ids_alone = pa.array(document_ids, pa.string()), pa.ipc.IpcReadOptions(included_fields=[0])
    with pa.memory_map(str(shard)) as source, pa.ipc.open_file(source) as reader:
        ids = pa.ipc.open_file(source, options=ids_alone)
        for place in range(reader.num_record_batches):
            chosen = pc.is_in(ids.get_batch(place)["id"], wanted)
            if pc.any(chosen).as_py():
                rows = reader.get_batch(place).filter(chosen)
                text = pc.utf8_slice_codeunits(rows["text"], 0, FETCHED)
                yield pa.record_batch([rows["id"], rows["source"], rows["origin"], text], schema=FOUND)


Texts = Mapping[tuple[int, str], Document]
"""Stage and id → the document as the stage left it, as far as it was fetched."""


def dropped(shown: Iterable[Shown], texts: Texts) -> Iterator[dict[str, Any]]:
    """The beginnings of dropped documents."""
    for each in shown:
        if (document := texts.get((each.text, each.id))) is not None:
            yield {**_excerpt(document, 0, BEGINNING), "role": DROPPED, "stage": each.stage, "reason": each.reason}


def narrowly(member: str, change: str, document: Document) -> dict[str, Any]:
    """The beginning of a document that passed a filter narrowly."""
    return {**_excerpt(document, 0, BEGINNING), "role": NARROW, "stage": member, "reason": change}


def pairs(clusters: Iterable[Cluster], texts: Texts) -> Iterator[dict[str, Any]]:
    """Duplicates, each behind the kept document that it repeats, from shortly before where they part."""
    for cluster in clusters:
        original = texts.get((cluster.text, cluster.id))
        for each in cluster.shown:
            duplicate = texts.get((each.text, each.id))
            if original is None or duplicate is None:
                continue
            start = _parting(original.text, duplicate.text)
            told = {"stage": each.stage, "reason": each.reason, "similarity": each.similarity}
            yield {**_excerpt(original, start, COMPARED), **told, "role": ORIGINAL}
            yield {**_excerpt(duplicate, start, COMPARED), **told, "role": DUPLICATE}


def told(cluster: Cluster, texts: Texts) -> dict[str, Any]:
    """A cluster without its texts."""

    def origin(stage: int, key: str) -> str | None:
        return texts[stage, key].origin if (stage, key) in texts else None

    shown = [
        {"id": each.id, "origin": origin(each.text, each.id), "reason": each.reason, "similarity": each.similarity}
        for each in cluster.shown
    ]
    return {"kept": cluster.id, "origin": origin(cluster.text, cluster.id), "stage": cluster.stage, "drops": cluster.drops, "shown": shown}


def _parting(one: str, other: str) -> int:
    """Where to begin to compare: at a line's beginning, if one is near, shortly before the first difference."""
    parting = next((place for place, (here, there) in enumerate(zip(one, other, strict=False)) if here != there), min(len(one), len(other)))
    start = max(0, parting - BEFORE)
    line = one.find("\n", start, parting)
    return start if start == 0 or line < 0 else line + 1


def _excerpt(document: Document, start: int, characters: int) -> dict[str, Any]:
    return {
        "id": document.id,
        "source": document.source,
        "origin": document.origin,
        "text": document.text[start : start + characters],
        "start": start,
        "characters": len(document.text),
        "similarity": None,
    }
