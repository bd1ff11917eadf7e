"""The documents that a tokenizer is trained on."""

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tokens.sample import LARGEST_SHARE, Sample, sample_of
from pipeline.tokens.split import Split

NONE_HELD_OUT = Split(fraction=0.0)
TEXTS = st.lists(st.text("ab中é", min_size=1, max_size=8), max_size=40)


def batch(rows: Sequence[tuple[str, str]]) -> pa.RecordBatch:
    columns = [pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.large_string())]
    return pa.record_batch(columns, names=["id", "text"])


def chosen(sample: Sample) -> list[tuple[str, bytes]]:
    return sorted((document_id, part) for _, document_id, part in sample.heap)


@given(TEXTS, st.randoms(use_true_random=False), st.integers(64 * 24, 64 * 40), st.integers(1, 5))
def test_the_sample_is_the_same_in_whatever_order_and_batches_documents_come(texts, random, limit, parts) -> None:
    rows = [(str(number), text) for number, text in enumerate(texts * 20)]
    whole = sample_of([batch(rows)], NONE_HELD_OUT, limit)
    random.shuffle(rows)
    dealt = sample_of([batch(rows[part::parts]) for part in range(parts)], NONE_HELD_OUT, limit)
    assert chosen(dealt) == chosen(whole)


@given(TEXTS, st.integers(64 * 24, 64 * 30))
def test_the_sample_stays_within_its_bytes_and_has_no_room_for_the_next(texts, limit) -> None:
    rows = [(str(number), text) for number, text in enumerate(texts * 20)]
    sample = sample_of([batch(rows)], NONE_HELD_OUT, limit)
    assert sample.size == sum(len(text.encode()) for text in sample.texts()) <= limit
    assert len(sample.heap) == len(rows) or sample.size > limit - 24


def test_held_out_documents_are_never_in_the_sample() -> None:
    split = Split(fraction=0.5)
    ids = [str(number) for number in range(200)]
    sample = sample_of([batch([(name, "text") for name in ids])], split, 1 << 20)
    assert sorted(name for _, name, _ in sample.heap) == sorted(name for name in ids if not split.held_out(name))


def test_one_long_document_gives_no_more_than_its_share_in_whole_characters() -> None:
    limit = 64 * 100
    sample = sample_of([batch([("long", "中" * 10_000), ("short", "b")])], NONE_HELD_OUT, limit)
    longest = max(sample.texts(), key=len)
    assert longest == "中" * (limit // LARGEST_SHARE // 3)
