"""A shard on its way through a rule over whole record batches: what is kept goes on, what is dropped is in the ledger, all are counted."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.documents import KEPT, SCHEMA, Dropped, Tally, write_dropped, write_tables
from pipeline.workflow.unit import Unit


class Verdict(NamedTuple):
    """Why a document is dropped, and what the ledger's other columns say."""

    reason: str
    match: str | None = None
    similarity: float | None = None


Judge = Callable[[pa.RecordBatch], Mapping[int, Verdict]]
"""The rows of a batch that are to be dropped."""


def sift(unit: Unit, batches: Iterable[pa.RecordBatch], judge: Judge) -> dict[str, Any]:
    """Write what a shard keeps and the ledger of what it drops; returns the counts."""
    tally, ledger = Tally(), list[Dropped]()

    def kept() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            verdicts = judge(batch)
            rows = sorted(verdicts)
            for row, document in zip(
                rows, batch.select(["id", "origin", "source"]).take(pa.array(rows, pa.int64())).to_pylist(), strict=True
            ):
                tally.drop(verdicts[row].reason, document["source"])
                ledger.append(Dropped(document["id"], document["origin"], *verdicts[row]))
            keep = np.ones(batch.num_rows, np.bool_)
            keep[rows] = False
            rest = batch.filter(pa.array(keep))
            if rest.num_rows:
                tally.keep_batch(rest)
                yield rest

    write_tables(unit, KEPT, SCHEMA, kept())
    write_dropped(unit, ledger)
    return tally.facts()
