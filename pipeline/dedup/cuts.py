"""Cuts: the stretches that documents lose, and a shard without them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.kernel import BYTES, BYTES_OUT, NOTHING, OFFSETS, OFFSETS_OUT, kernel
from pipeline.dedup.shingles import Buffers, text_buffers
from pipeline.documents import SCHEMA
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

CUTS = pa.schema([(name, pa.int64()) for name in ("document", "start", "end", "passages")])
"""A stretch of a document, in bytes, and how many passages were found in it; in order, without overlaps."""
DIGEST_BYTES = 16


def cuts_digest(cuts: pa.RecordBatch, first: int) -> str:
    """A digest of the cuts in the documents that are numbered from `first` on."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for column in (cuts["document"].to_numpy() - first, *(cuts[name].to_numpy() for name in CUTS.names[1:])):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def read_batch(unit: Unit, entry: FileEntry, number: int) -> pa.RecordBatch:
    """One record batch of a scratch file that has one for each shard, mapped into memory."""
    with pa.memory_map(str(unit.local(entry))) as source, pa.ipc.open_file(source) as reader:
        return reader.get_batch(number)


@dataclass
class Cutting:
    """A shard on its way through: its documents lose their cuts, and what they lose is counted by source."""

    cuts: pa.RecordBatch
    """CUTS of the shard."""
    first: int
    removed: dict[str, Counter[str]] = field(default_factory=dict)

    def cut(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches with their texts cut."""
        first, documents = self.first, self.cuts["document"].to_numpy()
        for batch in batches:
            since, until = np.searchsorted(documents, [first, first + batch.num_rows])
            yield self._cut(batch, self.cuts.slice(since, until - since), first) if since < until else batch
            first += batch.num_rows

    def _cut(self, batch: pa.RecordBatch, cuts: pa.RecordBatch, first: int) -> pa.RecordBatch:
        documents, starts, ends, passages = (column.to_numpy() for column in cuts.select(CUTS.names).columns)
        rows = documents - first
        texts, characters = without(text_buffers(batch["text"]), rows, starts, ends)
        changed, places = np.unique(rows, return_index=True)
        lost, found = np.add.reduceat(characters, places), np.add.reduceat(passages, places)
        sources = batch["source"].take(pa.array(changed)).to_pylist()
        for source, many, count in zip(sources, lost.tolist(), found.tolist(), strict=True):
            self.removed.setdefault(source, Counter()).update(documents=1, passages=count, characters=many)
        place = SCHEMA.get_field_index("text")
        return batch.set_column(place, SCHEMA.field(place), texts)

    def facts(self) -> dict[str, dict[str, int]]:
        """By source: the documents that were cut, the passages and the characters that they lost."""
        return total_removed([self.removed])


def total_removed(parts: Iterable[dict[str, Counter[str]]]) -> dict[str, dict[str, int]]:
    """The sums of what several units removed, by source."""
    whole: dict[str, Counter[str]] = {}
    for part in parts:
        for source, counts in part.items():
            whole.setdefault(source, Counter()).update(counts)
    return {source: dict(sorted(counts.items())) for source, counts in sorted(whole.items())}


def without(
    buffers: Buffers, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[pa.LargeStringArray, NDArray[np.int64]]:
    """The texts without the stretches starts[i] to ends[i] of rows[i], and how many characters each stretch had.

    A character that a stretch cuts through stays.
    """
    data, offsets = buffers
    texts, places = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.empty(offsets.size, np.int64)
    characters = np.empty(rows.size, np.int64)
    _without(data, offsets, rows, starts, ends, texts, places, characters)
    kept = pa.py_buffer(texts[: places[-1]])
    return pa.LargeStringArray.from_buffers(places.size - 1, pa.py_buffer(places), kept), characters


@kernel(NOTHING(BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, BYTES_OUT, OFFSETS_OUT, OFFSETS_OUT))
def _without(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    texts: NDArray[np.uint8],
    places: NDArray[np.int64],
    characters: NDArray[np.int64],
) -> None:
    """A byte 10xxxxxx goes on with a character, every other begins one."""
    stretch = filled = 0
    places[0] = 0
    for row in range(offsets.size - 1):
        first, place, end = offsets[row], offsets[row], offsets[row + 1]
        while place < end:
            cut = stretch < rows.size and rows[stretch] == row
            start, stop = (first + starts[stretch], first + ends[stretch]) if cut else (end, end)
            while start < stop and data[start] & 0xC0 == 0x80:
                start += 1
            while start < stop < end and data[stop] & 0xC0 == 0x80:
                stop -= 1
            texts[filled : filled + start - place] = data[place:start]
            filled += start - place
            if cut:
                characters[stretch] = 0
                for byte in data[start:stop]:
                    characters[stretch] += byte & 0xC0 != 0x80
                stretch += 1
            place = stop
        places[row + 1] = filled
