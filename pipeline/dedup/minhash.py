"""MinHash signatures, cut into bands: documents that share a band are likely to be alike.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3. All permutations are computed in full, in 32-bit arithmetic
that fills a processor's vectors: for short documents that is more exact than one permutation in bins.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.banding import Banding
from pipeline.dedup.kernel import HASH_ROWS_OUT, HASHES, INTEGER, NOTHING, OFFSETS, TABLE, kernel

SEED = 0x6D696C6C72616365
GOLDEN = 0x9E3779B97F4A7C15


def band_hashes(hashes: NDArray[np.uint64], ends: NDArray[np.int64], banding: Banding) -> NDArray[np.uint64]:
    """A 64-bit hash of every band, [documents, bands]; document i has the shingles up to ends[i]."""
    multipliers, increments = _permutations(banding.bands * banding.rows)
    found = np.empty((ends.size, banding.bands), np.uint64)
    _band_hashes(hashes, ends, multipliers, increments, banding.rows, found)
    return found


def _permutations(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Odd multipliers and increments of x → a·x + b modulo 2³², the same on every machine (SplitMix64)."""
    state = SEED
    drawn = []
    for _ in range(2 * count):
        state = (state + GOLDEN) % 2**64
        value = state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
        drawn.append((value ^ (value >> 31)) >> 32)
    return np.array(drawn[:count], np.uint32) | np.uint32(1), np.array(drawn[count:], np.uint32)


@kernel(NOTHING(HASHES, OFFSETS, TABLE, TABLE, INTEGER, HASH_ROWS_OUT))
def _band_hashes(
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int64],
    multipliers: NDArray[np.uint32],
    increments: NDArray[np.uint32],
    rows: int,
    found: NDArray[np.uint64],
) -> None:
    signature = np.empty(multipliers.size, np.uint32)
    start = 0
    for document in range(ends.size):
        signature[:] = np.uint32(0xFFFFFFFF)
        for place in range(start, ends[document]):
            shingle = np.uint32(hashes[place] >> np.uint64(32))
            for permutation in range(signature.size):
                value = np.uint32(multipliers[permutation] * shingle + increments[permutation])
                signature[permutation] = min(signature[permutation], value)
        start = ends[document]
        for band in range(found.shape[1]):
            band_hash = np.uint64(0xCBF29CE484222325)
            for row in range(band * rows, (band + 1) * rows):
                band_hash = (band_hash ^ np.uint64(signature[row])) * np.uint64(GOLDEN)
                band_hash ^= band_hash >> np.uint64(32)
            found[document, band] = band_hash
