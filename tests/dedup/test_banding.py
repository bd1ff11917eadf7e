"""How signatures are cut, and whether they find what they promise."""

import numpy as np
import pytest

from pipeline.dedup.banding import RECALL, Banding, banding
from pipeline.dedup.minhash import band_hashes
from pipeline.errors import RequestError


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_the_banding_reaches_the_recall_and_one_row_more_would_not(similarity: float) -> None:
    cut = banding(similarity, 128)
    more = Banding(bands=128 // (cut.rows + 1), rows=cut.rows + 1)
    assert cut.bands * cut.rows <= 128
    assert cut.recall(similarity) >= RECALL
    assert cut.rows == 128 or more.recall(similarity) < RECALL


def test_too_few_permutations_are_refused_with_the_remedy() -> None:
    with pytest.raises(RequestError, match=r"permutations is 2, too few .* use more permutations"):
        banding(0.5, 2)


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.85])
@pytest.mark.parametrize("size", [20, 400])
def test_pairs_share_a_band_as_often_as_their_similarity_says(similarity: float, size: int) -> None:
    cut, tries = banding(0.8, 128), 1500
    shared = round(2 * size * similarity / (1 + similarity))
    drawn = np.random.default_rng(7).integers(0, 2**64, (tries, 2 * size - shared), np.uint64)
    one, other = drawn[:, :size].ravel(), drawn[:, size - shared :].ravel()
    ends = np.arange(1, tries + 1) * size
    hits = (band_hashes(one, ends, cut) == band_hashes(other, ends, cut)).any(axis=1).mean()
    expected = cut.recall(shared / (2 * size - shared))
    assert abs(hits - expected) < 4 * (expected * (1 - expected) / tries) ** 0.5 + 0.01


def test_the_signature_of_a_set_ignores_order_and_repetition() -> None:
    hashes, cut = np.arange(1, 60, dtype=np.uint64) << np.uint64(40), banding(0.8, 128)
    shuffled = np.concatenate([hashes[::-1], hashes[:7]])
    assert (band_hashes(hashes, np.array([59]), cut) == band_hashes(shuffled, np.array([66]), cut)).all()
