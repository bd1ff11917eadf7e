"""Documents packed into windows of one length, by index arithmetic over memory-mapped token shards.

A corpus is one long stream: its documents in the order of its shards, each followed by the token that ends a text.
Window w is `context` inputs from stream position w · context on, and one token more as the last target, which is
the next window's first input. What remains after the last whole window is in none. Nothing is copied but the batch:
Arrow's own offsets say where a document starts, so opening a corpus reads one number of each record batch.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.tokens.shards import TokenShards


@dataclass(frozen=True)
class Batch:
    """Windows side by side.

    `tokens` (int64, [rows, context + 1]): inputs, and one token more as the last target.
    `documents` (int32, [rows, context]): the number of the input's document inside its window, from 0.
    `positions` (int32, [rows, context]): the input's place since its document or the window began.
    A document's end-of-text token belongs to it.
    """

    tokens: NDArray[np.int64]
    documents: NDArray[np.int32]
    positions: NDArray[np.int32]


@dataclass(frozen=True)
class Piece:
    """A record batch of a token shard as a part of the stream; positions count from the piece's own start."""

    rows: pa.RecordBatch

    @cached_property
    def offsets(self) -> NDArray[np.int32]:
        """Where each row's tokens start among `values`; one more for the end."""
        offsets: NDArray[np.int32] = self.rows.column("tokens").offsets.to_numpy()
        return offsets

    @cached_property
    def values(self) -> NDArray[Any]:
        """The tokens of all rows."""
        values: NDArray[Any] = self.rows.column("tokens").values.to_numpy()
        return values

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The position of each row's end-of-text token."""
        ends: NDArray[np.int64] = self.offsets[1:].astype(np.int64) - self.offsets[0] + np.arange(self.rows.num_rows)
        return ends

    @property
    def length(self) -> int:
        """Tokens, with one end-of-text token a row."""
        return int(self.offsets[-1]) - int(self.offsets[0]) + int(self.rows.num_rows)

    def rows_between(self, start: int, stop: int) -> tuple[int, int]:
        """The rows that positions start … stop − 1 belong to, as a range."""
        first, last = self.ends.searchsorted((start, stop - 1)).tolist()
        return first, last + 1

    def copy(self, start: int, tokens: NDArray[np.int64], ends: NDArray[np.bool_], end_of_text: int) -> None:
        """Fill `tokens` from position `start` on, and mark in `ends` where a document ends."""
        first, last = self.ends.searchsorted((start, start + len(tokens))).tolist()
        origin = int(self.offsets[0]) + start - first  # each document before has an end that is not among `values`
        values = self.values[origin : origin + len(tokens) - (last - first)]
        if first == last:
            tokens[:] = values
            return
        here = self.ends[first:last] - start
        ends[here] = True
        tokens[here] = end_of_text
        tokens[~ends] = values


@dataclass(frozen=True)
class Stream:
    """The documents of a corpus as one stream of tokens."""

    pieces: Sequence[Piece]
    end_of_text: int

    @cached_property
    def starts(self) -> list[int]:
        """The position of each piece, and of the stream's end."""
        return list(accumulate((piece.length for piece in self.pieces), initial=0))

    @property
    def length(self) -> int:
        """Tokens, with one end-of-text token a document."""
        return self.starts[-1]

    def parts(self, start: int, stop: int) -> Iterator[tuple[Piece, int, int]]:
        """The pieces that positions start … stop − 1 lie in, with the range inside each."""
        number = bisect_right(self.starts, start) - 1
        while start < stop:
            offset, until = self.starts[number], min(stop, self.starts[number + 1])
            yield self.pieces[number], start - offset, until - offset
            start, number = until, number + 1

    def copy(self, start: int, tokens: NDArray[np.int64], ends: NDArray[np.bool_]) -> None:
        """Fill `tokens` from position `start` on, and mark in `ends` where a document ends."""
        filled = 0
        for piece, here, until in self.parts(start, start + len(tokens)):
            part = slice(filled, filled + until - here)
            piece.copy(here, tokens[part], ends[part], self.end_of_text)
            filled = part.stop

    def documents_between(self, start: int, stop: int) -> Iterator[str]:
        """The ids of the documents that positions start … stop − 1 belong to, in order."""
        for piece, here, until in self.parts(start, stop):
            first, last = piece.rows_between(here, until)
            yield from piece.rows.column("id").slice(first, last - first).to_pylist()

    def places_of(self, document_id: str) -> Iterator[tuple[int, int]]:
        """The range of positions of each document with this id, by looking through all of them."""
        for piece, offset in zip(self.pieces, self.starts, strict=False):
            for row in np.flatnonzero(pc.equal(piece.rows.column("id"), document_id).to_numpy(zero_copy_only=False)).tolist():
                stop = int(piece.ends[row]) + 1
                yield offset + stop - int(piece.offsets[row + 1] - piece.offsets[row]) - 1, offset + stop


def open_stream(tokens: TokenShards, kind: str, source: str | None = None) -> Stream:
    """The stream of the shards of a kind; of the documents of one source, where it is named."""
    batches = [batch for batch in tokens.batches(kind) if batch.num_rows]
    if source is not None:
        batches = [batch for batch in batches if batch.column("source")[0].as_py() == source]
    return Stream([Piece(batch) for batch in batches], tokens.end_of_text)


@dataclass(frozen=True)
class Windows:
    """A stream cut into windows of `context` inputs."""

    stream: Stream
    context: int

    @property
    def count(self) -> int:
        """How many whole windows there are."""
        return max(0, (self.stream.length - 1) // self.context)

    def batch(self, windows: Iterable[int]) -> Batch:
        """The windows with these numbers, as a batch."""
        return batch_of([(self.stream, number * self.context) for number in windows], self.context)

    def documents(self, window: int) -> Iterator[str]:
        """The ids of the documents that have a token in a window, as an input or as a target, in order."""
        return self.stream.documents_between(window * self.context, (window + 1) * self.context + 1)

    def of(self, document_id: str) -> list[int]:
        """The windows that have a token of a document."""
        found: set[int] = set()
        for start, stop in self.stream.places_of(document_id):
            first = max(0, (start - 1) // self.context)  # the first token is the last target of the window before
            found |= set(range(first, min(self.count, (stop - 1) // self.context + 1)))
        return sorted(found)


def batch_of(places: Sequence[tuple[Stream, int]], context: int) -> Batch:
    """The windows that start at these positions of these streams, as a batch."""
    tokens = np.empty((len(places), context + 1), np.int64)
    ends = np.zeros((len(places), context + 1), np.bool_)
    for row, (stream, start) in enumerate(places):
        stream.copy(start, tokens[row], ends[row])
    begins = np.ones((len(places), context), np.bool_)
    begins[:, 1:] = ends[:, : context - 1]
    return Batch(tokens, *_segments(begins))


def _segments(begins: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The number of each place's segment in its row, and the place's number in its segment, from where segments begin."""
    firsts = np.flatnonzero(begins)
    lengths = np.diff(firsts, append=begins.size)
    rows = firsts // begins.shape[1]
    numbers = np.arange(len(firsts)) - rows.searchsorted(rows)
    places = np.arange(begins.size, dtype=np.int32) - firsts.astype(np.int32).repeat(lengths)
    return numbers.astype(np.int32).repeat(lengths).reshape(begins.shape), places.reshape(begins.shape)
