"""Streams of literal documents, and the plain packing that the real one is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from pipeline.batches.packing import Piece, Stream
from pipeline.tokens.encoder import Encoded
from pipeline.tokens.shards import shard_batch

END = 9999
Document = list[int]
PIECES = st.lists(st.lists(st.lists(st.integers(0, 500), max_size=9), min_size=1, max_size=6), min_size=1, max_size=5)
"""Record batches of documents of tokens."""


def stream_of(pieces: Sequence[Sequence[Document]]) -> Stream:
    """A stream over record batches of documents; document n of all has the id str(n)."""
    made, first = [], 0
    for documents in pieces:
        offsets = np.concatenate(([0], np.cumsum([len(document) for document in documents]))).astype(np.int64)
        flat = np.array([token for document in documents for token in document], np.uint32)
        names = pa.array([str(first + number) for number in range(len(documents))])
        made.append(Piece(shard_batch(names, Encoded(flat, offsets), pa.array(["s"] * len(documents)), END + 1)))
        first += len(documents)
    return Stream(made, END)


@dataclass(frozen=True)
class Token:
    """A token of the plain stream."""

    id: int
    document: int
    place: int


def plain_stream(documents: Sequence[Document]) -> list[Token]:
    """The stream, written out."""
    return [Token(token, number, place) for number, document in enumerate(documents) for place, token in enumerate([*document, END])]


def plain_window(stream: Sequence[Token], window: int, context: int) -> tuple[list[int], list[int], list[int]]:
    """Tokens, documents and positions of one window, token by token."""
    part = stream[window * context : (window + 1) * context + 1]
    inputs = part[:-1]
    first: dict[int, int] = {}
    for place, token in enumerate(inputs):
        first.setdefault(token.document, place)
    numbers = {document: number for number, document in enumerate(first)}
    return (
        [token.id for token in part],
        [numbers[token.document] for token in inputs],
        [place - first[token.document] for place, token in enumerate(inputs)],
    )
