"""Decisions that are known: a cluster of the same texts in the same order is decided on in the same way, whenever it is met.

A step keeps the decisions on every cluster under the cluster's signature. Where a corpus has changed, only clusters with
another signature are decided on; the outcome is that of deciding on all of them.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.clusters import Members
from pipeline.dedup.verdicts import VERDICTS

SIGNATURE_BYTES = 16
SIGNATURES = pa.schema([("signature", pa.binary(SIGNATURE_BYTES))])
DECISIONS = pa.schema(
    [
        *SIGNATURES,
        ("ranks", pa.list_(pa.int64())),  # those that are dropped,
        ("matches", pa.list_(pa.int64())),  # for these earlier ones of the cluster
        ("similarities", pa.list_(pa.float64())),
    ]
)


def signatures(members: Members, exact: NDArray[np.uint64]) -> pa.Array:
    """A digest of each cluster's texts, in order, from the exact keys of all documents ([documents, 2])."""
    keys = np.ascontiguousarray(exact[members.documents])
    ends = [*members.starts.tolist(), members.documents.size]
    digests = [hashlib.blake2b(keys[start:end].data, digest_size=SIGNATURE_BYTES).digest() for start, end in pairwise(ends)]
    return pa.array(digests, pa.binary(SIGNATURE_BYTES))


@dataclass(frozen=True, kw_only=True)
class Known:
    """Which clusters are settled by what is known, and the verdicts on their documents."""

    settled: NDArray[np.bool_]
    verdicts: pa.RecordBatch


def known(members: Members, found: pa.Array, decisions: pa.Table | None, ids: pa.ChunkedArray) -> Known:
    """What decisions (DECISIONS) that were taken before say of clusters with these signatures. `ids` are those of all documents."""
    if decisions is None or not decisions.num_rows:
        return Known(settled=np.zeros(len(found), bool), verdicts=pa.RecordBatch.from_pylist([], schema=VERDICTS))
    rows = pc.index_in(found, decisions["signature"].combine_chunks())
    settled = rows.is_valid().to_numpy(zero_copy_only=False)
    chosen = decisions.take(rows.filter(rows.is_valid()))
    starts = members.starts[settled]
    counts = pc.list_value_length(chosen["ranks"]).to_numpy()
    first = np.repeat(starts, counts)
    later = members.documents[first + pc.list_flatten(chosen["ranks"]).to_numpy()]
    matches = members.documents[first + pc.list_flatten(chosen["matches"]).to_numpy()]
    similarities = pc.list_flatten(chosen["similarities"]).combine_chunks()
    columns = [pa.array(later), pa.array(matches), ids.take(pa.array(matches)).combine_chunks(), similarities]
    return Known(settled=settled, verdicts=pa.record_batch(columns, schema=VERDICTS))


def decisions(members: pa.Table, found: pa.Array, near: pa.Table) -> pa.Table:
    """DECISIONS on all clusters, from MEMBERS in order of the documents, the clusters' signatures, and all verdicts of similarity."""
    documents, ranks, clusters = (members[name].to_numpy() for name in ("document", "rank", "cluster"))
    rows = np.searchsorted(documents, near["document"].to_numpy())
    matches = np.searchsorted(documents, near["match"].to_numpy())
    order = np.lexsort((ranks[rows], clusters[rows]))
    rows, matches = rows[order], matches[order]
    offsets = pa.array(np.searchsorted(clusters[rows], np.arange(len(found) + 1)).astype(np.int32))
    values = (pa.array(ranks[rows]), pa.array(ranks[matches]), near["similarity"].take(pa.array(order)).combine_chunks())
    lists = [pa.ListArray.from_arrays(offsets, value) for value in values]
    return pa.table([found, *lists], schema=DECISIONS)
