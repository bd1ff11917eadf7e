"""Verdicts: which documents are dropped, for which earlier one; and a shard parted by them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.documents import Dropped, Tally

VERDICTS = pa.schema([("document", pa.int64()), ("match", pa.int64()), ("match_id", pa.string()), ("similarity", pa.float64())])
FINAL_VERDICTS = VERDICTS.append(pa.field("reason", pa.string()))
LEDGER = ("match_id", "similarity", "reason")
EXACT, NEAR = "exact-duplicate", "near-duplicate"
DIGEST_BYTES = 16


def final_verdicts(near: pa.Table, copies: pa.Table) -> pa.Table:
    """All verdicts (FINAL_VERDICTS), in order of the documents.

    `near` holds those of similarity, `copies` those of exact keys, both in order. A copy whose original was dropped shares
    its fate: what the original is like, the copy is as much.
    """
    judged, originals = near["document"].to_numpy(), copies["match"].to_numpy()
    places = np.searchsorted(judged, originals)
    displaced = np.zeros(originals.size, bool)
    if judged.size:
        displaced = judged[np.minimum(places, judged.size - 1)] == originals
    inherited = near.take(pa.array(places[displaced])).set_column(0, "document", copies["document"].filter(pa.array(displaced)))
    parts = [(near, NEAR), (inherited, NEAR), (copies.filter(pa.array(~displaced)), EXACT)]
    named = [part.append_column("reason", pa.array([reason] * part.num_rows, pa.string())) for part, reason in parts]
    return pa.concat_tables(named).sort_by("document")


def verdicts_on(verdicts: pa.Table, first: int, count: int) -> pa.Table:
    """The verdicts on documents first … first + count - 1, of verdicts in order."""
    since, until = np.searchsorted(verdicts["document"].to_numpy(), [first, first + count]).tolist()
    return verdicts.slice(since, until - since)


def digests(verdicts: pa.Table, shards: Iterable[tuple[int, int]]) -> list[str]:
    """A digest of what a shard's ledger will say, for each shard (its first document and their count)."""
    found = []
    for first, count in shards:
        mine = verdicts_on(verdicts, first, count)
        rows = zip((mine["document"].to_numpy() - first).tolist(), *(mine[name].to_pylist() for name in LEDGER), strict=True)
        found.append(hashlib.blake2b(repr(list(rows)).encode(), digest_size=DIGEST_BYTES).hexdigest())
    return found


@dataclass
class Parting:
    """A shard on its way through: what is kept goes on, what is dropped is entered in the ledger, both are counted."""

    verdicts: pa.Table
    first: int
    tally: Tally = field(default_factory=Tally)
    ledger: list[Dropped] = field(default_factory=list)

    def kept(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The documents that no verdict is on, in batches as they came."""
        first, documents = self.first, self.verdicts["document"].to_numpy()
        for batch in batches:
            since, until = np.searchsorted(documents, [first, first + batch.num_rows])
            self._drop(batch, documents[since:until] - first, self.verdicts.slice(since, until - since))
            keep = np.ones(batch.num_rows, bool)
            keep[documents[since:until] - first] = False
            first += batch.num_rows
            rest = batch.filter(pa.array(keep))
            if rest.num_rows:
                self.tally.keep_batch(rest)
                yield rest

    def _drop(self, batch: pa.RecordBatch, rows: NDArray[np.int64], verdicts: pa.Table) -> None:
        documents = batch.select(["id", "origin", "source"]).take(pa.array(rows)).to_pylist()
        for document, verdict in zip(documents, verdicts.to_pylist(), strict=True):
            self.tally.drop(verdict["reason"], document["source"])
            self.ledger.append(Dropped(document["id"], document["origin"], verdict["reason"], verdict["match_id"], verdict["similarity"]))
