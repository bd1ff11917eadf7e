"""What is cut out by span corruption."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.objectives.base import Place, held_out_rows
from pipeline.objectives.corrupted_spans import PAD, CorruptedSpans, parts, sentinel
from pipeline.objectives.draws import training_draws
from pipeline.objectives.lexicon import Lexicon
from tests.objectives.texts import lexicon_of, windows


def restored(lexicon: Lexicon, read: list[int], written: list[int]) -> list[int]:
    """The inputs with each sentinel replaced by what the targets have behind it."""
    sentinels = [lexicon.id_of(name) for name in lexicon.added if name != PAD]
    whole: list[int] = []
    for token in read[:-1]:
        if token not in sentinels:
            whole.append(token)
            continue
        start = written.index(token) + 1
        stop = next(place for place in range(start, len(written)) if written[place] in sentinels or place == len(written) - 1)
        whole += written[start:stop]
    return whole


@given(
    context=st.integers(2, 90),
    density=st.floats(0.02, 0.95),
    span=st.floats(1, 9),
    place=st.builds(Place, st.integers(0, 1 << 40), st.integers(0, 1 << 20)),
)
def test_the_spans_put_back_in_place_of_their_sentinels_give_the_window(
    tokenizer_json: Path, context: int, density: float, span: float, place: Place
) -> None:
    objective = CorruptedSpans(density=density, span=span)
    lexicon = lexicon_of(tokenizer_json, objective, context)
    batch = windows(lexicon, 2, context)
    read, given_, written = objective.questions(lexicon, "window", 5).inputs(batch, slice(0, 2), place)
    assert (read.shape[1], written.shape[1]) == objective.lengths(context)
    for row in range(2):
        assert restored(lexicon, read[row].tolist(), written[row].tolist()) == batch.tokens[row, :-1].tolist()
    assert given_[:, 0].tolist() == [lexicon.id_of(PAD)] * 2
    assert given_[:, 1:].tolist() == written[:, :-1].tolist()


def test_counts_are_exact_and_sentinels_stand_in_order(tokenizer_json: Path) -> None:
    objective = CorruptedSpans()
    lexicon = lexicon_of(tokenizer_json, objective, 128)
    assert objective.cut(128) == (19, 6)
    assert lexicon.added == (PAD, *(f"<extra_id_{number}>" for number in range(6)))
    read, _, written = objective.questions(lexicon, "window", 0).inputs(windows(lexicon, 8, 128), slice(0, 8), Place(7, 0))
    sentinels = [lexicon.id_of(sentinel(number)) for number in range(6)]
    for array in (read, written):
        assert all([token for token in row if token in sentinels] == sentinels for row in array.tolist())
        assert (array[:, -1] == lexicon.end_of_text).all()
    assert (written[:, 0] == sentinels[0]).all()


def test_spans_have_the_asked_length_on_average_and_all_lengths_occur(tokenizer_json: Path) -> None:
    objective = CorruptedSpans()
    lexicon = lexicon_of(tokenizer_json, objective, 256)
    _, _, written = objective.questions(lexicon, "window", 0).inputs(windows(lexicon, 40, 256), slice(0, 40), Place(0, 0))
    lengths: list[int] = []
    for row in written:
        lengths += (np.diff(np.append(np.flatnonzero(row >= lexicon.id_of(sentinel(0))), len(row) - 1)) - 1).tolist()
    assert np.mean(lengths) == pytest.approx(38 / 13)
    assert set(range(1, 8)) <= set(lengths)


@given(total=st.integers(1, 40), count=st.integers(1, 40), step=st.integers(0, 1 << 40))
def test_a_sum_has_as_many_parts_as_asked_and_none_is_empty(total: int, count: int, step: int) -> None:
    count = min(total, count)
    found: NDArray[np.int64] = parts(total, count, training_draws(0, Place(step, 0), 0, total))
    assert len(found) == count
    assert found.sum() == total
    assert (found > 0).all()


def test_every_way_to_cut_is_as_likely_as_any_other() -> None:
    found = [tuple(parts(5, 3, training_draws(1, Place(step, 0), 0, 5)).tolist()) for step in range(3000)]
    shares = {way: found.count(way) / len(found) for way in set(found)}
    assert shares == pytest.approx(dict.fromkeys([(1, 1, 3), (1, 3, 1), (3, 1, 1), (1, 2, 2), (2, 1, 2), (2, 2, 1)], 1 / 6), abs=0.03)


@pytest.mark.parametrize(
    ("fields", "named"), [({"density": 0.0}, "density is 0.0"), ({"density": 1.0}, "density is 1.0"), ({"span": 0.5}, "span is 0.5")]
)
def test_shares_that_make_no_sense_are_refused(fields: dict[str, float], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        CorruptedSpans(**fields)


def test_spans_that_stay_inside_documents_are_refused() -> None:
    with pytest.raises(RequestError, match=r"attend is 'document'.*use window"):
        CorruptedSpans().check("document", 64)
    with pytest.raises(RequestError, match="context is 1"):
        CorruptedSpans().check("window", 1)


def test_held_out_pieces_shorter_than_the_context_need_no_more_sentinels(tokenizer_json: Path) -> None:
    objective = CorruptedSpans()
    lexicon = lexicon_of(tokenizer_json, objective, 90)
    questions = objective.questions(lexicon, "window", 0)
    for length in range(2, 91):
        tokens = windows(lexicon, 1, length).tokens[:, :-1]
        read, _, written = questions.inputs(held_out_rows(tokens), slice(0, 1), None)
        assert restored(lexicon, read[0].tolist(), written[0].tolist()) == tokens[0].tolist()
