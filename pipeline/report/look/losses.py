"""What was lost of a shard: documents and bytes by source and reason, and the duplicates of each kept document."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import Documents
from pipeline.report.look.ranks import first, ranked
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Facts

Losses = dict[str, dict[str, list[int]]]
"""Source → reason → documents, bytes of UTF-8."""


def read_ledger(documents: Documents, ledger: FileEntry) -> pa.Table:
    """What was dropped of one shard."""
    return pa.ipc.open_file(pa.memory_map(str(documents.local(ledger)))).read_all()


def losses(batches: Iterable[pa.RecordBatch], ledger: pa.Table, examples: int) -> Facts:
    """`lost` (Losses) of a shard, and `candidates`: for each reason, dropped documents to show, as hashes and ids."""
    lost: Losses = {}
    for source, reason, count, size in _counted(batches, ledger):
        found = lost.setdefault(source, {}).setdefault(reason, [0, 0])
        found[0] += count
        found[1] += size
    return {"lost": lost, "candidates": _candidates(ledger, examples)}


def _counted(batches: Iterable[pa.RecordBatch], ledger: pa.Table) -> Iterator[tuple[str, str, int, int]]:
    dropped, reasons = ledger["id"].combine_chunks(), ledger["reason"].combine_chunks()
    for batch in batches:
        places = pc.index_in(batch["id"], dropped)
        gone = pc.is_valid(places)
        columns = {
            "source": batch["source"].filter(gone),
            "reason": reasons.take(places.filter(gone)),
            "bytes": pc.binary_length(batch["text"].filter(gone)),
        }
        counts = pa.table(columns).group_by(["source", "reason"]).aggregate([("bytes", "count"), ("bytes", "sum")])
        for row in counts.to_pylist():
            yield row["source"], row["reason"], row["bytes_count"], row["bytes_sum"]


def _candidates(ledger: pa.Table, examples: int) -> dict[str, Any]:
    reasons = pc.unique(ledger["reason"]).to_pylist()
    ids = {reason: ledger.filter(pc.equal(ledger["reason"], reason))["id"].to_pylist() for reason in reasons}
    return {reason: first(ranked(found), examples) for reason, found in sorted(ids.items())}


def add_losses(whole: Losses, more: Losses) -> None:
    """Add the losses of one shard to those of others."""
    for source, reasons in more.items():
        for reason, (count, size) in reasons.items():
            found = whole.setdefault(source, {}).setdefault(reason, [0, 0])
            found[0] += count
            found[1] += size


def largest_clusters(ledgers: Iterable[pa.Table], most: int) -> list[tuple[str, int]]:
    """The kept documents for which most others were dropped, and how many."""
    counts = Counter[str]()
    for ledger in ledgers:
        found = pc.value_counts(ledger["match"].drop_null())
        counts.update(dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def least_similar(ledgers: Iterable[pa.Table], matches: Sequence[str], most: int) -> dict[str, list[dict[str, Any]]]:
    """For each of the kept documents, those of its duplicates that are least like it: rows of the ledgers, with their `ledger`'s place."""
    shown: dict[str, list[dict[str, Any]]] = {match: [] for match in matches}
    for place, ledger in enumerate(ledgers):
        of_these = ledger.filter(pc.is_in(ledger["match"], pa.array(matches, pa.string())))
        for row in of_these.sort_by([("similarity", "ascending"), ("id", "ascending")]).to_pylist():
            rows = shown[row["match"]]
            rows.append({**row, "ledger": place})
            rows.sort(key=lambda each: (each["similarity"], each["id"]))
            del rows[most:]
    return shown
