"""The index of all n-grams of some evaluation sets, and how much of each example is in a document.

It is built once and left as Arrow files that the units of the step map into memory: n-grams by their hashes, and
the words that they are made of, so that every hit can be compared with the real thing.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.filters.evaluation_set import Example
from pipeline.filters.ngrams import Grams, Known, Spelled, gram_hashes, known_grams, spelled, suspects, verified
from pipeline.filters.word_loops import Numbers
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.unit import Unit

GRAMS, WORDS, LETTERS, EXAMPLES = "grams", "words", "letters", "examples"


class Overlap(NamedTuple):
    """The share of an example's n-grams that is in a document."""

    example: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Index:
    """The n-grams of all examples. An example of fewer than `length` words is one n-gram of all its words, if it has
    `shortest` or more, and none otherwise.

    names, sets, counts [examples]: SET#LINE, the place of its set, and its number of n-grams. groups: the n-grams by
    their length; owners: the example of each.
    """

    length: int
    shortest: int
    words: Spelled
    names: pa.StringArray
    sets: Numbers
    counts: Numbers
    groups: tuple[Grams, ...]
    owners: tuple[Numbers, ...]

    @cached_property
    def _known(self) -> tuple[Known, Known]:
        """What a document must hold to be looked at closely: an n-gram, or the beginning of a short example."""
        begin = gram_hashes(self.words.hashes, self.shortest)
        short = [begin[grams.words] for grams in self.groups if grams.length < self.length]
        whole = [grams.hashes for grams in self.groups if grams.length == self.length]
        empty = np.empty(0, np.uint64)
        return (
            known_grams(self.length, whole[0] if whole else empty),
            known_grams(self.shortest, np.unique(np.concatenate([empty, *short]))),
        )

    def overlaps(self, texts: pa.LargeStringArray) -> Iterator[tuple[int, list[Overlap]]]:
        """The rows of a column that hold n-grams of examples, and how much of which ones, the greatest share first."""
        for row in suspects(texts, self._known).tolist():
            text = spelled(texts.slice(row, 1))
            pairs = zip(self.groups, self.owners, strict=True)
            examples = np.concatenate([owners[verified(text, grams, self.words)] for grams, owners in pairs])
            found, counts = np.unique(examples, return_counts=True)
            shares = counts / self.counts[found]
            order = np.argsort(-shares, kind="stable")
            yield row, [Overlap(*pair) for pair in zip(found[order].tolist(), shares[order].tolist(), strict=True)]


def write_index(unit: Unit, sets: Sequence[tuple[str, Sequence[Example]]], length: int, shortest: int) -> Numbers:
    """Leave the index of some named sets as scratch files; returns the number of words of every example."""
    examples = [(f"{name}#{example.line}", place, example.text) for place, (name, members) in enumerate(sets) for example in members]
    words = spelled(pa.array([text for _, _, text in examples], pa.large_string()))
    sizes = np.diff(words.rows)
    starts, owners = _begins(words.rows, sizes, length, shortest)
    lengths = np.minimum(sizes[owners], length)
    hashes = np.empty(starts.size, np.uint64)
    for present in np.unique(lengths).tolist():
        hashes[lengths == present] = gram_hashes(words.hashes, present)[starts[lengths == present]]
    order = np.lexsort((starts, hashes, lengths))
    _leave(unit, GRAMS, length=lengths[order], hash=hashes[order], word=starts[order], example=owners[order])
    _leave(unit, WORDS, hash=words.hashes, end=words.bounds[1:])
    _leave(unit, LETTERS, letter=words.letters)
    counts = np.bincount(owners, minlength=sizes.size)
    names = pa.array([name for name, _, _ in examples], pa.string())
    _leave(unit, EXAMPLES, name=names, set=np.array([place for _, place, _ in examples], np.int64), grams=counts)
    return sizes


def _begins(rows: Numbers, sizes: Numbers, length: int, shortest: int) -> tuple[Numbers, Numbers]:
    """The word that each n-gram begins with, and its example."""
    counts = np.where(sizes < shortest, 0, np.maximum(sizes - length, 0) + 1)
    owners = np.repeat(np.arange(sizes.size), counts)
    within = np.arange(owners.size) - (np.cumsum(counts) - counts)[owners]
    return rows[owners] + within, owners


def _leave(unit: Unit, kind: str, **columns: Any) -> None:
    """Write columns as one uncompressed scratch file, which can be mapped."""
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        draft = Path(folder, "index.arrow")
        with pa.ipc.new_file(draft, table.schema) as writer:
            writer.write_table(table)
        unit.scratch(kind, draft, ".arrow", table.num_rows)


def open_index(unit: Unit, files: Sequence[FileEntry], length: int, shortest: int) -> Index:
    """The index that `write_index` left, mapped into memory."""
    grams, words, letters, examples = (_mapped(unit, entry) for entry in files)
    bounds = np.concatenate([np.zeros(1, np.int64), words["end"]])
    groups, owners = [], []
    for present in np.unique(grams["length"]).tolist():
        since, until = np.searchsorted(grams["length"], [present, present + 1])
        groups.append(Grams(present, grams["hash"][since:until], grams["word"][since:until]))
        owners.append(grams["example"][since:until])
    return Index(
        length=length,
        shortest=shortest,
        words=Spelled(letters["letter"], bounds, words["hash"], np.empty(0, np.int64)),
        names=examples["name"],
        sets=examples["set"],
        counts=examples["grams"],
        groups=tuple(groups),
        owners=tuple(owners),
    )


def _mapped(unit: Unit, entry: FileEntry) -> dict[str, Any]:
    """The columns of a scratch file: numbers as arrays, without a copy."""
    with pa.memory_map(str(unit.local(entry))) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all().combine_chunks()
    found = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        found[name] = column if pa.types.is_string(column.type) else column.to_numpy()
    return found
