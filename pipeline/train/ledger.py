"""Which batches a run has seen, on record: the chain of `pipeline/batches/chain.py`, in every row of metrics that a checkpoint keeps.

A batch that was passed over (see `watch.py`) made no update and is no part of the chain: it is the chain of what was trained on, so it
commits to which steps were passed over, too. Their numbers are in the rows themselves.

A member notes the digests of its own rows as it trains on them. They are put together when there is something to be saved,
so that a step costs no exchange.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.batches.chain import START, extended, row_digests
from pipeline.batches.packing import Batch
from pipeline.errors import RunError
from pipeline.train.gang import gather, rows_of
from pipeline.train.watch import PASSED
from pipeline.workflow.step import Member

CHAIN = "chain"
"""The column of the metrics."""
CHECKED_TOKENS = 1 << 30
"""So many tokens a member reads again at most when a run is resumed: half a minute. `jobs/trace.py --verify` reads all."""


@dataclass(kw_only=True)
class Ledger:
    """One member's part of the record. Every member calls `check` and `enter`."""

    read: Callable[[int, slice], Batch]
    """Some rows of the global batch of a step, counted from 0."""
    batch: int
    """Windows in a step, over all members."""
    context: int
    member: Member
    slices: int = 1
    """Neighbouring members who train on the same rows, on a slice of each window."""
    noted: dict[int, bytes] = field(default_factory=dict)
    """The digests of this member's rows of the steps that are not on record yet."""

    @property
    def share(self) -> int:
        """Windows of a step that this member trains on."""
        return self.batch * self.slices // self.member.size

    def note(self, step: int, rows: Batch) -> None:
        """Remember what this member trains on in a step, counted from 0."""
        self.noted[step] = row_digests(rows)

    def enter(self, rows: Sequence[dict[str, Any]]) -> None:
        """Put the chain into the rows of metrics that have none yet."""
        known = next((count for count in range(len(rows), 0, -1) if CHAIN in rows[count - 1]), 0)
        for row, chain in self._chained(rows, known):
            row[CHAIN] = chain
        self.noted.clear()

    def check(self, rows: Sequence[dict[str, Any]], place: str) -> None:
        """Raise RunError unless a checkpoint with these rows of metrics has seen the batches of this run's order: the newest of them."""
        most = max(1, CHECKED_TOKENS // (self.share * self.context))
        for row, chain in self._chained(rows, max(0, len(rows) - most)):
            if row.get(CHAIN) != chain:
                raise RunError(
                    f"{place} holds a checkpoint whose batch of step {row['step'] - 1}, counted from 0, is not the one that the manifests"
                    " of its token shards give: delete that folder to begin again"
                )

    def _chained(self, rows: Sequence[dict[str, Any]], known: int) -> Iterator[tuple[dict[str, Any], str]]:
        """The rows behind the first `known` ones, each with the chain after its step."""
        chain, left = rows[known - 1].get(CHAIN, START) if known else START, rows[known:]
        parts = gather(self.member, [b"" if PASSED in row else self._digests(row["step"] - 1) for row in left])
        for row, *digests in zip(left, *parts[:: self.slices], strict=True):
            chain = chain if PASSED in row else extended(chain, b"".join(digests))
            yield row, chain

    def _digests(self, step: int) -> bytes:
        """Of this member's rows of a step: what was noted, or what is read again."""
        return self.noted.pop(step, None) or row_digests(self.read(step, rows_of(self.member, self.batch, self.slices)))
