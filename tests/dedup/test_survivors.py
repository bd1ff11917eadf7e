"""Who survives, when everyone is compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import survivors
from pipeline.dedup.survivors import Survey, survey

sets = st.sets(st.integers(0, 12), min_size=1)


def in_one_bucket(documents: list[set[int]], threshold: float) -> Survey:
    flat = np.array([member for document in documents for member in sorted(document)], np.uint64)
    offsets = np.cumsum([0, *map(len, documents)])
    return survey(flat, offsets, np.zeros((len(documents), 2), np.uint64), np.ones(len(documents), bool), threshold)


@settings(deadline=None, max_examples=400)
@given(st.lists(sets, min_size=1, max_size=14), st.sampled_from([0.2, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0]))
def test_a_document_is_dropped_if_and_only_if_an_earlier_kept_one_is_like_it(documents: list[set[int]], threshold: float) -> None:
    found = in_one_bucket(documents, threshold)
    kept: list[int] = []
    for later, document in enumerate(documents):
        alike = {earlier: len(document & documents[earlier]) / len(document | documents[earlier]) for earlier in kept}
        matches = [earlier for earlier, similarity in alike.items() if similarity >= threshold]
        if matches:
            assert found.matches[later] == matches[0]
            assert found.similarities[later] == alike[matches[0]]
        else:
            assert found.matches[later] == -1
            kept.append(later)


def test_the_earliest_match_is_named_whichever_band_it_is_found_by() -> None:
    offsets, bands = np.array([0, 2, 4, 6]), np.array([[1, 7], [2, 8], [2, 7]], np.uint64)
    found = survey(np.array([1, 2, 3, 4, 2, 3], np.uint64), offsets, bands, np.ones(3, bool), 0.3)
    assert found.matches.tolist() == [-1, -1, 0]


def test_a_thousand_near_copies_cost_a_thousand_comparisons() -> None:
    documents = [set(range(40)) | {1000 + number} for number in range(1000)]
    found = in_one_bucket(documents, 0.8)
    assert found.comparisons == 999
    assert (found.matches[1:] == 0).all()


def test_comparisons_stay_linear_where_many_unlike_documents_share_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survivors, "BUCKET_LIMIT", 8)
    documents = [{0, *range(10 * number, 10 * number + 9)} for number in range(1, 501)]
    found = in_one_bucket(documents, 0.8)
    assert (found.matches == -1).all()
    assert found.comparisons <= 8 * 500
