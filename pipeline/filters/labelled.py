"""Labelled examples to train a classifier on and to try it with: chosen, held out and put in order by hashes of their ids.

All of it is a function of the ids and texts alone: not of the order in which shards are read, nor of how many there are.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.documents import Documents
from pipeline.errors import RunError

LARGEST_SHARE = 64
"""No document gives more than a 64th of a sample: one very long document must not stand for all others."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Examples of both kinds: `texts`, their `ids`, which are `good`, and which are `held` out."""

    ids: list[str]
    texts: pa.LargeStringArray
    good: NDArray[np.bool_]
    held: NDArray[np.bool_]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many there are of each kind, to train on and held out."""
        kinds = {"good": self.good, "bad": ~self.good}
        return {
            name: {"trained": int((kind & ~self.held).sum()), "held_out": int((kind & self.held).sum())} for name, kind in kinds.items()
        }

    def orders(self, epochs: int, seed: int) -> NDArray[np.int64]:
        """An order of those to train on for each epoch, [epochs, examples]."""
        ids = [name for name, held in zip(self.ids, self.held.tolist(), strict=True) if not held]
        return np.stack([np.argsort(ranks(ids, f"epoch {epoch} of {seed}"), kind="stable") for epoch in range(epochs)])


def labelled(kinds: Mapping[str, Sequence[Documents]], limit: int, held_out: float, seed: int) -> Labelled:
    """A sample of the "good" and of the "bad" documents, at most `limit` characters of each.

    Raises RunError where one of the kinds has nothing to train on, or nothing that is held out.
    """
    samples = {name: _sample(corpora, limit, f"sample {seed}") for name, corpora in kinds.items()}
    table = pa.concat_tables([samples["good"], samples["bad"]]).combine_chunks()
    ids = table["id"].to_pylist()
    examples = Labelled(
        ids=ids,
        texts=table["text"].combine_chunks(),
        good=np.arange(len(ids)) < samples["good"].num_rows,
        held=ranks(ids, f"held out {seed}") < int(held_out * 2**64),
    )
    for name, counts in examples.counts().items():
        if not all(counts.values()):
            raise RunError(
                f"of the {name} documents {counts['trained']} are to be trained on and {counts['held_out']} held out: "
                "give more documents, or hold out another share of them"
            )
    return examples


def _sample(corpora: Sequence[Documents], limit: int, salt: str) -> pa.Table:
    """The beginnings of the documents with the smallest hashes, in order of these, as id and text."""
    cut = limit // LARGEST_SHARE
    rank, length = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for batch in _batches(corpora):
        rank.append(ranks(batch["id"].to_pylist(), salt))
        length.append(np.minimum(pc.utf8_length(batch["text"]).to_numpy(), cut))
    hashes, lengths = np.concatenate(rank), np.concatenate(length)
    order = np.argsort(hashes, kind="stable")
    count = int(np.searchsorted(np.cumsum(lengths[order]), limit, "right"))
    last = hashes[order[count - 1]] if count else np.uint64(0)
    chosen = [_chosen(batch, np.flatnonzero(part <= last), cut) for batch, part in zip(_batches(corpora), rank[1:], strict=True)]
    table = pa.concat_tables([pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.large_string())}), *chosen])
    return table.take(pa.array(np.argsort(hashes[hashes <= last], kind="stable")))


def _chosen(batch: pa.RecordBatch, rows: NDArray[np.int64], cut: int) -> pa.Table:
    """The ids of some rows, and the beginnings of their texts."""
    columns = [batch[name].take(pa.array(rows)) for name in ("id", "text")]
    return pa.table({"id": columns[0], "text": pc.utf8_slice_codeunits(columns[1], 0, cut)})


def _batches(corpora: Sequence[Documents]) -> Iterator[pa.RecordBatch]:
    for corpus in corpora:
        for shard in corpus.shards:
            yield from corpus.batches(shard)


def ranks(ids: Sequence[str], salt: str) -> NDArray[np.uint64]:
    """64 evenly distributed bits of each id; another salt gives others."""
    prefix = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)
    digests = []
    for name in ids:
        digest = prefix.copy()
        digest.update(name.encode())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")
