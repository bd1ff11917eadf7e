"""Finding documents in all artifacts of a root, and erasing the files that hold them."""

import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.history.tombstones import Gone
from pipeline.documents import KEPT
from pipeline.inference.vectors import VECTORS
from pipeline.sources.forgotten import text_digest
from pipeline.storage import Entry, Store, cache_folder
from pipeline.workflow.artifact import Manifest, manifest_path, read_manifest
from pipeline.workflow.reuse import forget_files
from pipeline.workflow.run import retire

log = logging.getLogger(__name__)
PARQUET = ".parquet"
HOLDING = (KEPT, "train", "validation", "sketches", VECTORS)
"""The kinds of files that have a row a document, with its `id`."""


@dataclass
class Found:
    """Documents that are to be forgotten, by their ids, and the ids of other documents with the same texts."""

    documents: dict[str, Gone] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)


def find(store: Store, wanted: Callable[[pa.RecordBatch], pa.Array]) -> Found:
    """The documents of all that was ingested for which `wanted` (a batch → a mask) holds."""
    found = Found()
    for batch in _ingested(store):
        chosen = batch.filter(wanted(batch))
        for row in chosen.to_pylist():
            gone = Gone(id=row["id"], origin=row["origin"], source=row["source"], text=text_digest(row["text"]))
            found.documents.setdefault(gone.id, gone)
    texts = {gone.text for gone in found.documents.values()}
    if texts:
        for batch in _ingested(store):
            pairs = zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)
            found.spared |= {document_id for document_id, text in pairs if text_digest(text) in texts} - found.documents.keys()
    return found


def _ingested(store: Store) -> Iterator[pa.RecordBatch]:
    """The documents of every ingest in a root, each file once."""
    for entry in _holding(store):
        if entry.path.startswith("ingest/"):
            yield from _batches(store, entry, None)


def _holding(store: Store) -> Iterator[Entry]:
    """Every file that has a row a document, whether a manifest names it or not."""
    for entry in store.list(""):
        parts = entry.path.split("/")
        if len(parts) == 4 and parts[2] in HOLDING and entry.path.endswith((".arrow", PARQUET)):
            yield entry


def _batches(store: Store, entry: Entry, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Some columns of a file, a record batch at a time; a file that a killed run left half is passed over."""
    path = store.local(entry.path, store.checksum(entry.path))
    with pa.memory_map(str(path)) as source:
        try:
            if entry.path.endswith(PARQUET):
                yield from pq.ParquetFile(source).iter_batches(columns=columns)
                return
            schema = pa.ipc.open_file(source).schema
            fields = None if columns is None else [schema.get_field_index(column) for column in columns]
            reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
            for place in range(reader.num_record_batches):
                yield reader.get_batch(place)
        except pa.ArrowInvalid as problem:
            log.warning("%s cannot be read and is passed over: %s", entry.path, problem)


def erase(store: Store, document_ids: Collection[str]) -> list[str]:
    """Remove every file that holds one of the documents, and retire the manifests that name one; returns the files' paths."""
    wanted = pa.array(sorted(document_ids), pa.string())
    touched = [entry.path for entry in list(_holding(store)) if _holds(store, entry, wanted)]
    for manifest in list(_naming(store, set(touched))):
        retire(store, manifest)
        store.delete(f"reports/{manifest.address.replace('/', '-')}.html")
    forget_files(store, touched)
    for path in touched:
        _uncache(store, path)
        store.delete(path)
    return touched


def holds(store: Store, document_id: str) -> bool:
    """Whether any file of a root holds a document."""
    wanted = pa.array([document_id])
    return any(_holds(store, entry, wanted) for entry in _holding(store))


def made_from(store: Store, document_ids: Collection[str]) -> list[str]:
    """What was made from artifacts that hold one of the documents, and is no text itself: tokenizers, models, what they wrote.

    It is not erased, since it cannot be told what of the documents is in it.
    """
    wanted = pa.array(sorted(document_ids), pa.string())
    touched = {entry.path for entry in list(_holding(store)) if _holds(store, entry, wanted)}
    tainted = {manifest.address for manifest in _naming(store, touched)}
    waiting = [manifest for manifest in _manifests(store) if manifest.address not in tainted]
    made: list[str] = []
    while found := [manifest for manifest in waiting if any(needed["address"] in tainted for needed in manifest.inputs.values())]:
        made += [manifest.address for manifest in found]
        tainted |= {manifest.address for manifest in found}
        waiting = [manifest for manifest in waiting if manifest.address not in tainted]
    return sorted(made)


def _holds(store: Store, entry: Entry, wanted: pa.Array) -> bool:
    return any(pc.any(pc.is_in(batch["id"], wanted)).as_py() for batch in _batches(store, entry, ["id"]))


def _naming(store: Store, paths: set[str]) -> Iterator[Manifest]:
    """The manifests that name one of these files."""
    return (manifest for manifest in _manifests(store) if any(file.place(manifest.address) in paths for file in manifest.files))


def _manifests(store: Store) -> Iterator[Manifest]:
    """The manifests in force."""
    for entry in store.list(""):
        address = entry.path.removesuffix("/manifest.json")
        if entry.path == manifest_path(address) and address.count("/") == 1:
            manifest = read_manifest(store, address)
            if manifest is not None:
                yield manifest


def _uncache(store: Store, path: str) -> None:
    """Remove this machine's copy of a remote file."""
    folder = Path(cache_folder(), store.checksum(path).replace(":", "-"))
    shutil.rmtree(folder, ignore_errors=True)


def matching(pattern: str) -> Callable[[pa.RecordBatch], Any]:
    """Wanted are documents whose text has a match of an RE2 expression."""
    return lambda batch: pc.match_substring_regex(batch["text"], pattern)


def named(document_ids: Collection[str]) -> Callable[[pa.RecordBatch], Any]:
    """Wanted are documents with these ids."""
    wanted = pa.array(sorted(document_ids), pa.string())
    return lambda batch: pc.is_in(batch["id"], wanted)
