"""Words and n-grams of words of whole Arrow columns, and looking them up among known ones. Imported only by what runs it.

Equal hashes only say where to look: `verified` compares the words themselves.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.filters.spelling import spellings
from pipeline.filters.word_loops import BASE, Hashes, Numbers, fill, find_suspects, spell_rows, verify

BITS_A_GRAM = 16
"""Size of the filter: about one unknown n-gram in a hundred passes it."""


class Spelled(NamedTuple):
    """The words of some texts, end to end.

    letters: code points with flags; bounds [words + 1]: where in `letters` each word begins; hashes [words]; rows
    [texts + 1]: where in the words each text begins.
    """

    letters: NDArray[np.uint32]
    bounds: Numbers
    hashes: Hashes
    rows: Numbers


class Grams(NamedTuple):
    """n-grams of one length, in order of their hashes, and the word that each begins with."""

    length: int
    hashes: Hashes
    words: Numbers


class Known(NamedTuple):
    """n-grams to look for: their hashes, sorted, and a filter that most unknown hashes do not pass."""

    length: int
    hashes: Hashes
    passing: Hashes


def text_buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], Numbers]:
    """The UTF-8 bytes of an Arrow column, and its len + 1 offsets into them, without a copy."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1] if offsets else np.zeros(1, np.int64)
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), ends


def spelled(texts: pa.LargeStringArray) -> Spelled:
    """The words of a column of texts; see `spelling` for what a word is."""
    data, offsets = text_buffers(texts)
    size = int(offsets[-1] - offsets[0])
    letters, bounds, hashes = np.empty(size, np.uint32), np.zeros(size + 1, np.int64), np.empty(size, np.uint64)
    rows = np.zeros(len(texts) + 1, np.int64)
    spell_rows(data, offsets, *spellings(), letters, bounds, hashes, rows)
    words = rows[-1]
    return Spelled(letters[: bounds[words]], bounds[: words + 1], hashes[:words], rows)


def gram_hashes(hashes: Hashes, length: int) -> Hashes:
    """The hash of every run of `length` words."""
    grams = np.zeros(max(hashes.size - length + 1, 0), np.uint64)
    for place in range(length):
        grams = grams * BASE + hashes[place : place + grams.size]
    return grams


def known_grams(length: int, hashes: Hashes) -> Known:
    """n-grams to look for, from their sorted hashes."""
    size = 64
    while size * 64 < hashes.size * BITS_A_GRAM:
        size *= 2
    passing = np.zeros(size, np.uint64)
    fill(hashes, passing)
    return Known(length, hashes, passing)


def suspects(texts: pa.LargeStringArray, known: tuple[Known, Known]) -> Numbers:
    """The rows in which an n-gram has a known hash."""
    data, offsets = text_buffers(texts)
    longest = int(np.diff(offsets).max(initial=0))
    letters, bounds, hashes = np.empty(longest, np.uint32), np.zeros(longest + 1, np.int64), np.empty(longest, np.uint64)
    found = np.zeros(len(texts), np.bool_)
    one, other = known
    table = spellings()
    wanted = (table.places, table.letters, one.length, one.hashes, one.passing, other.length, other.hashes, other.passing)
    find_suspects(data, offsets, *wanted, letters, bounds, hashes, found)
    return np.flatnonzero(found)


def verified(text: Spelled, grams: Grams, others: Spelled) -> Numbers:
    """The places in `grams`, which are n-grams of `others`, of those that are truly in a text: of equal hashes, word by word.

    Of the places in the text with one hash the first counts.
    """
    hashes, words = np.unique(gram_hashes(text.hashes, grams.length), return_index=True)
    since, until = np.searchsorted(grams.hashes, hashes, "left"), np.searchsorted(grams.hashes, hashes, "right")
    hit = since < until
    found = np.empty(int((until - since).sum()), np.int64)
    spans = (words[hit], since[hit], until[hit])
    count = verify(text.letters, text.bounds, *spans, others.letters, others.bounds, grams.words, grams.length, found)
    return found[:count]
