"""Passages: the pieces of documents that are looked for again, and what is known of them before they meet.

How much a passage weighs is counted in ink: the bytes of the text that are neither white space nor controls of ASCII.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.scratch import Numbers, read_scratch, write_scratch
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

DIGESTS = pa.schema([("high", pa.uint64()), ("low", pa.uint64()), ("passage", pa.uint32())])
"""The digest of each passage and its number in the shard, in order of the digests' high half."""
PLACES = pa.schema([(name, pa.int64()) for name in ("start", "end", "ink_start", "ink_end")])
"""Where each passage is in its document, in bytes and in ink, in order of the passages."""
HOLDINGS = pa.schema([("id", pa.string()), ("passages", pa.int64()), ("ink", pa.int64())])
"""How many passages each document has, and how much ink."""

Places = tuple[Numbers, Numbers, Numbers, Numbers]
"""The columns of PLACES."""


@dataclass(frozen=True, kw_only=True)
class Passages:
    """The passages of a batch of documents, by document and start. `counts` and `ink` have an entry a document."""

    counts: NDArray[np.int64]
    ink: NDArray[np.int64]
    places: NDArray[np.int64]
    """[passages, 4], the columns of PLACES."""
    digests: NDArray[np.uint64]
    """[passages, 2]"""


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What was noted of a shard's passages."""

    digests: FileEntry
    places: FileEntry
    holdings: FileEntry


def note(unit: Unit, batches: Iterable[tuple[pa.Array, Passages]]) -> int:
    """Write what is known of a shard, from its documents' ids and passages; the number of passages."""
    digests, places, holdings = [np.empty((0, 2), np.uint64)], [np.empty((0, 4), np.int64)], list[pa.RecordBatch]()
    for ids, passages in batches:
        digests.append(passages.digests)
        places.append(passages.places)
        holdings.append(pa.record_batch([ids, pa.array(passages.counts), pa.array(passages.ink)], schema=HOLDINGS))
    write_scratch(
        unit, "places", PLACES, (pa.record_batch([pa.array(column.copy()) for column in part.T], schema=PLACES) for part in places)
    )
    write_scratch(unit, "holdings", HOLDINGS, holdings)
    found = np.concatenate(digests)
    order = np.argsort(found[:, 0])
    columns = [found[order, 0], found[order, 1], order.astype(np.uint32)]
    write_scratch(unit, "digests", DIGESTS, [pa.record_batch([pa.array(column) for column in columns], schema=DIGESTS)])
    return len(found)


def noted(scratch: tuple[FileEntry, ...]) -> Noted:
    """The files that `note` left."""
    places, holdings, digests = scratch
    return Noted(digests=digests, places=places, holdings=holdings)


def place_columns(unit: Unit, entry: FileEntry) -> Places:
    """The columns of PLACES of a shard."""
    table = read_scratch(unit, entry)
    start, end, ink_start, ink_end = (column.to_numpy() for column in table.columns)
    return start, end, ink_start, ink_end
