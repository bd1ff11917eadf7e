"""Who survives: in order, a document is dropped if and only if an earlier kept one is verified to be like it.

Each document is compared with the kept documents that share a band with it (that are in one bucket with it), by the
true Jaccard similarity of their sets of shingles. With dropped documents nobody is compared, so a thousand
copies of one page cost a thousand comparisons, not a million. Where very many in one bucket were kept (a
template that they share, around different texts), only the first BUCKET_LIMIT of them stand for it: time
stays linear, at the price that a match which shares no smaller bucket may be missed. What is dropped is
verified always.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.kernel import BYTES, HASHES, INTEGER, OFFSETS, OFFSETS_OUT, PLACE_ROWS, REAL, REALS_OUT, kernel, part

BUCKET_LIMIT = 64


@dataclass(frozen=True, kw_only=True)
class Survey:
    """For each document the earliest kept one that it is like (-1: it is kept), and their similarity."""

    matches: NDArray[np.int64]
    similarities: NDArray[np.float64]
    comparisons: int


def survey(
    sets: NDArray[np.uint64], offsets: NDArray[np.int64], bands: NDArray[np.uint64], is_open: NDArray[np.bool_], threshold: float
) -> Survey:
    """Decide on documents in order; document i has the sorted distinct shingles sets[offsets[i]:offsets[i + 1]].

    Those that are not open are known to be kept: they are there for others to be compared with.
    """
    buckets = np.empty(bands.shape, np.int64)
    count = 0
    for band in range(bands.shape[1]):
        found, buckets[:, band] = np.unique(bands[:, band], return_inverse=True)
        buckets[:, band] += count
        count += found.size
    matches, similarities = np.full(bands.shape[0], -1), np.zeros(bands.shape[0])
    comparisons = _survey(sets, offsets, buckets, is_open.view(np.uint8), count, threshold, BUCKET_LIMIT, matches, similarities)
    return Survey(matches=matches, similarities=similarities, comparisons=comparisons)


@part
def _similarity(sets: NDArray[np.uint64], one: int, one_end: int, other: int, other_end: int, threshold: float) -> float:
    """The Jaccard similarity of two sorted sets; 0 as soon as it is sure to be below the threshold."""
    sizes = one_end - one + other_end - other
    needed = np.int64(threshold / (1.0 + threshold) * sizes)
    if min(one_end - one, other_end - other) < needed:
        return 0.0
    shared, spare = 0, sizes - 2 * needed
    while one < one_end and other < other_end and spare >= 0:
        left, right = sets[one], sets[other]
        shared += left == right
        spare -= left != right
        one += left <= right
        other += right <= left
    return shared / (sizes - shared) if spare >= 0 else 0.0


@kernel(INTEGER(HASHES, OFFSETS, PLACE_ROWS, BYTES, INTEGER, REAL, INTEGER, OFFSETS_OUT, REALS_OUT))
def _survey(
    sets: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    buckets: NDArray[np.int64],
    is_open: NDArray[np.uint8],
    bucket_count: int,
    threshold: float,
    limit: int,
    matches: NDArray[np.int64],
    similarities: NDArray[np.float64],
) -> int:
    """Each bucket is a linked list of the documents kept so far, in order: first[bucket], then following[document, band]."""
    first, last, kept = np.full(bucket_count, -1), np.full(bucket_count, -1), np.zeros(bucket_count, np.int64)
    following, compared = np.full(buckets.shape, -1), np.full(matches.size, -1)
    comparisons = 0
    for later in range(matches.size):
        match = later
        for band in range(buckets.shape[1]):
            earlier = first[buckets[later, band]] if is_open[later] else -1
            while 0 <= earlier < match:
                if compared[earlier] != later:
                    compared[earlier] = later
                    comparisons += 1
                    similarity = _similarity(sets, offsets[earlier], offsets[earlier + 1], offsets[later], offsets[later + 1], threshold)
                    if similarity >= threshold:
                        match, similarities[later] = earlier, similarity
                earlier = following[earlier, band]
        if match < later:
            matches[later] = match
            continue
        for band in range(buckets.shape[1]):
            bucket = buckets[later, band]
            if kept[bucket] < limit:
                if kept[bucket]:
                    following[last[bucket], band] = later
                else:
                    first[bucket] = later
                last[bucket] = later
                kept[bucket] += 1
    return comparisons
