"""Holders: in order, who has a passage, who loses it, and which documents go because little of them is left.

One pass over the passages that are repeats, document by document. A group of equal passages is held by the earliest of them that is
in a kept document; what a document holds that turns out to be dropped is free again before the next one is looked at.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.kernel import INTEGER, NOTHING, OFFSETS, OFFSETS_OUT, REAL, REALS_OUT, kernel
from pipeline.dedup.passages import Places
from pipeline.dedup.scratch import Numbers

FREE = -1


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The repeats of a shard: the number of each passage in the shard, its group and its document's row; and where all passages are.

    `places` has the columns of PLACES, `ink` that of each row, `first` is the number of the shard's first passage.
    """

    passages: NDArray[np.int64]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    places: Places
    ink: Numbers
    first: int


@dataclass(frozen=True, kw_only=True)
class Losses:
    """For each repeat the passage for which it is to go, or FREE, and the ink that its document thereby loses to another one.

    For each row the share of it that others hold, where it is dropped, else 0.
    """

    holders: NDArray[np.int64]
    ink: NDArray[np.int64]
    shares: NDArray[np.float64]


def settle(repeats: Repeats, remain: float, held: NDArray[np.int64]) -> Losses:
    """Decide on the documents of a shard. held[group] is the passage that holds a group, and is brought forward."""
    losses = Losses(
        holders=np.full(repeats.passages.size, FREE), ink=np.zeros(repeats.passages.size, np.int64), shares=np.zeros(repeats.ink.size)
    )
    starts, ends, ink_starts, ink_ends = repeats.places
    places = (repeats.passages, repeats.groups, repeats.rows, starts, ends, ink_starts, ink_ends, repeats.ink)
    _settle(*places, repeats.first, remain, held, losses.holders, losses.ink, losses.shares)
    return losses


@kernel(
    NOTHING(
        *(OFFSETS, OFFSETS, OFFSETS),
        *(OFFSETS, OFFSETS, OFFSETS, OFFSETS),
        *(OFFSETS, INTEGER, REAL),
        *(OFFSETS_OUT, OFFSETS_OUT, OFFSETS_OUT, REALS_OUT),
    )
)
def _settle(
    passages: NDArray[np.int64],
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    ink_starts: NDArray[np.int64],
    ink_ends: NDArray[np.int64],
    ink: NDArray[np.int64],
    first: int,
    remain: float,
    held: NDArray[np.int64],
    holders: NDArray[np.int64],
    losses: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> None:
    """Passages of a document may overlap: `gone` and `lost` are the ink of the union of those that go, and of those that others hold."""
    begin = 0
    while begin < passages.size:
        row, own = rows[begin], first + passages[begin]
        gone = lost = gone_until = lost_until = 0
        end = begin
        while end < passages.size and rows[end] == row:
            passage, holder = passages[end], held[groups[end]]
            ink_start, ink_end = ink_starts[passage], ink_ends[passage]
            if holder == FREE:
                held[groups[end]] = first + passage
            elif holder < own or ends[holder - first] <= starts[passage]:
                holders[end] = holder
                gone += max(0, ink_end - max(ink_start, gone_until))
                gone_until = max(gone_until, ink_end)
                if holder < own:
                    losses[end] = max(0, ink_end - max(ink_start, lost_until))
                    lost += losses[end]
                    lost_until = max(lost_until, ink_end)
            end += 1
        left = ink[row] - gone
        if lost > 0 and (left == 0 or left < remain * (left + lost)):
            shares[row] = lost / (left + lost)
            for place in range(begin, end):
                if held[groups[place]] == first + passages[place]:
                    held[groups[place]] = FREE
        begin = end
