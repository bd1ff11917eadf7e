"""The chain over a run's batches: one value for one order of data, whoever reads how much of it."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.batches.chain import SIZE, START, extended, row_digests
from pipeline.batches.packing import Batch, _segments

sizes = st.tuples(st.integers(1, 6), st.integers(1, 20))


@st.composite
def batches(draw: st.DrawFn, rows: int | None = None) -> Batch:
    """Windows of few different tokens, in which documents begin anywhere."""
    count, context = draw(sizes)
    tokens = draw(arrays(np.int64, (rows or count, context + 1), elements=st.sampled_from([0, 1, 65_535, 65_536])))
    begins = draw(arrays(np.bool_, (rows or count, context)))
    begins[:, 0] = True
    return Batch(tokens, *_segments(begins))


def part(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.tokens[rows], batch.documents[rows], batch.positions[rows])


def chained(batches: Sequence[Batch]) -> str:
    chain = START
    for batch in batches:
        chain = extended(chain, row_digests(batch))
    return chain


def same(one: Sequence[Batch], other: Sequence[Batch]) -> bool:
    """Whether all arrays of all batches are equal."""
    arrays_of = [[(batch.tokens, batch.documents, batch.positions) for batch in run] for run in (one, other)]
    return len(one) == len(other) and all(
        np.array_equal(mine, others) for pair in zip(*arrays_of, strict=True) for mine, others in zip(*pair, strict=True)
    )


@settings(max_examples=60)
@given(batch=batches(), data=st.data())
def test_the_digests_of_any_division_of_the_rows_are_those_of_the_whole(batch: Batch, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(batch.tokens)), max_size=4)))
    parts = [part(batch, slice(start, stop)) for start, stop in zip([0, *cuts], [*cuts, len(batch.tokens)], strict=True)]
    assert b"".join(map(row_digests, parts)) == row_digests(batch)
    assert len(row_digests(batch)) == SIZE * len(batch.tokens)


@settings(max_examples=200)
@given(one=st.lists(batches(), max_size=3), other=st.lists(batches(), max_size=3))
def test_chains_are_equal_exactly_if_all_batches_are_equal_in_their_order(one: list[Batch], other: list[Batch]) -> None:
    assert (chained(one) == chained(other)) == same(one, other)
    assert chained(one) == chained([part(batch, slice(None)) for batch in one])


@given(batch=batches(), data=st.data())
def test_a_single_token_or_a_single_boundary_changes_the_chain(batch: Batch, data: st.DataObject) -> None:
    tokens, begins = batch.tokens.copy(), batch.positions == 0
    row = data.draw(st.integers(0, len(tokens) - 1))
    if data.draw(st.booleans()) or tokens.shape[1] == 2:
        place = data.draw(st.integers(0, tokens.shape[1] - 1))
        tokens[row, place] = tokens[row, place] ^ 1
    else:
        place = data.draw(st.integers(1, tokens.shape[1] - 2))
        begins[row, place] = ~begins[row, place]
    assert chained([Batch(tokens, *_segments(begins))]) != chained([batch])


def test_the_order_of_batches_and_of_rows_counts() -> None:
    first, second = (Batch(np.full((2, 3), value), *_segments(np.eye(1, 2, dtype=np.bool_).repeat(2, axis=0))) for value in (1, 2))
    assert chained([first, second]) != chained([second, first])
    mixed = np.array([[1, 1, 1], [2, 2, 2]])
    rows = [Batch(tokens, first.documents, first.positions) for tokens in (mixed, mixed[::-1])]
    assert chained([rows[0]]) != chained([rows[1]])


def test_the_value_of_a_known_run_stays_what_it_is() -> None:
    """Records of other releases are compared with it."""
    batch = Batch(np.arange(8).reshape(2, 4), *_segments(np.array([[True, False, True], [True, False, False]])))
    assert chained([batch, batch]) == "084e05773f377629aedae6c3e4f5273e"
