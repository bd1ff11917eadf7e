"""Quotes: what stands before and after the passages that others go for, so that a cut reaches as far as both texts go on alike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.cuts import CUTS
from pipeline.dedup.kernel import BYTES, NOTHING, OFFSETS, OFFSETS_OUT, kernel
from pipeline.dedup.losses import touching
from pipeline.dedup.passages import Noted, place_columns
from pipeline.dedup.scratch import read_scratch
from pipeline.dedup.shingles import Buffers, text_buffers
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

ASKED = pa.schema([("holder", pa.int64())])
"""The holders at one end of all spans, each once, in order."""
QUOTES = pa.schema([*ASKED, ("text", pa.large_binary())])
"""What stands before a holder or after it: a holder has one quote, however many spans ask for it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Holders in a shard, in order; the row of each, and the place in it at which its quote starts and ends."""

    holders: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def quotes(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """QUOTES from the batches of the shard."""
        first = 0
        for batch in batches if self.holders.size else ():
            since, until = np.searchsorted(self.rows, [first, first + batch.num_rows])
            mine = slice(since, until)
            texts = stretches(text_buffers(batch["text"]), self.rows[mine] - first, self.starts[mine], self.ends[mine])
            yield pa.record_batch([pa.array(self.holders[mine]), texts], schema=QUOTES)
            first += batch.num_rows


def asked(spans: pa.Table, end: str) -> pa.RecordBatch:
    """ASKED, for the column of SPANS that has the holders at one end."""
    return pa.record_batch([pa.array(np.unique(spans[end].to_numpy()))], schema=ASKED)


def wanted(unit: Unit, noted: Noted, first: int, before: FileEntry, after: FileEntry, reach: int) -> tuple[Wanted, Wanted]:
    """What is to be quoted from the shard whose passages are numbered from `first` on, of all that is asked for at either end."""
    starts, ends, *_ = place_columns(unit, noted.places)
    until = np.cumsum(read_scratch(unit, noted.holdings)["passages"].to_numpy())

    def chosen(entry: FileEntry) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        holders = read_scratch(unit, entry)["holder"].to_numpy()
        mine = slice(*np.searchsorted(holders, [first, first + starts.size]))
        passages = holders[mine] - first
        return holders[mine], np.searchsorted(until, passages, side="right"), passages

    holders, rows, passages = chosen(before)
    left = Wanted(holders=holders, rows=rows, starts=np.maximum(starts[passages] - reach, 0), ends=starts[passages])
    holders, rows, passages = chosen(after)
    return left, Wanted(holders=holders, rows=rows, starts=ends[passages], ends=ends[passages] + reach)


def stretches(buffers: Buffers, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """The bytes from starts[i] to ends[i] of rows[i], as far as the row goes."""
    data, offsets = buffers
    begins, stops = offsets[rows] + starts, np.minimum(offsets[rows] + ends, offsets[rows + 1])
    places = np.concatenate([[0], np.cumsum(stops - begins)])
    sources = np.repeat(begins - places[:-1], stops - begins) + np.arange(places[-1])
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), rows.size, [None, pa.py_buffer(places), pa.py_buffer(data[sources])])


def read_quotes(unit: Unit, entries: Sequence[FileEntry], holders: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """The quote of each holder, from files that are in order of the holders."""
    order = np.argsort(holders, kind="stable")
    sought, chunks = holders[order], [pa.array([], pa.large_binary())]
    for entry in entries:
        table = read_scratch(unit, entry)
        quoted = table["holder"].to_numpy()
        if quoted.size:
            mine = slice(*np.searchsorted(sought, [quoted[0], quoted[-1] + 1]))
            chunks.append(table["text"].take(pa.array(np.searchsorted(quoted, sought[mine]))).combine_chunks())
    return pa.concat_arrays(chunks).take(pa.array(np.argsort(order)))


@dataclass(frozen=True, kw_only=True)
class Extending:
    """The spans of a shard, and the quotes for each."""

    spans: pa.RecordBatch
    before: pa.LargeBinaryArray
    after: pa.LargeBinaryArray
    first: int

    def cuts(self, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
        """CUTS: the spans as far as they and the quotes are alike on either side."""
        documents, starts, ends, passages = (column.to_numpy() for column in self.spans.select(CUTS.names).columns)
        starts, ends, first = starts.copy(), ends.copy(), self.first
        for batch in batches if documents.size else ():
            since, until = np.searchsorted(documents, [first, first + batch.num_rows])
            quotes = (*text_buffers(self.before[since:until]), *text_buffers(self.after[since:until]))
            _extend(*text_buffers(batch["text"]), documents[since:until] - first, *quotes, starts[since:until], ends[since:until])
            first += batch.num_rows
        first_of, last_of = touching(documents, starts, ends)
        columns = [documents[first_of], starts[first_of], ends[last_of], np.add.reduceat(passages, first_of) if passages.size else passages]
        return pa.record_batch([pa.array(values) for values in columns], schema=CUTS)


@kernel(NOTHING(BYTES, OFFSETS, OFFSETS, BYTES, OFFSETS, BYTES, OFFSETS, OFFSETS_OUT, OFFSETS_OUT))
def _extend(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    before: NDArray[np.uint8],
    before_offsets: NDArray[np.int64],
    after: NDArray[np.uint8],
    after_offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    """Move starts and ends outwards, but where nothing would then be left to be seen of a row."""
    old_starts, old_ends = starts.copy(), ends.copy()
    begin = 0
    while begin < rows.size:
        first, last = offsets[rows[begin]], offsets[rows[begin] + 1]
        seen, place, span = False, first, begin
        while span < rows.size and rows[span] == rows[begin]:
            start, end = first + starts[span], first + ends[span]
            quote = before_offsets[span + 1]
            while start > first and quote > before_offsets[span] and data[start - 1] == before[quote - 1]:
                start, quote = start - 1, quote - 1
            quote = after_offsets[span]
            while end < last and quote < after_offsets[span + 1] and data[end] == after[quote]:
                end, quote = end + 1, quote + 1
            while not seen and place < start:
                seen = data[place] > 0x20
                place += 1
            place = max(place, end)
            starts[span], ends[span] = start - first, end - first
            span += 1
        while not seen and place < last:
            seen = data[place] > 0x20
            place += 1
        if not seen:
            starts[begin:span], ends[begin:span] = old_starts[begin:span], old_ends[begin:span]
        begin = span
