"""What is hidden by masked language modelling."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.objectives.base import Place, held_out_rows
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.masked_tokens import MASK, MaskedTokens, fitting
from pipeline.objectives.words import word_starts
from tests.objectives.texts import CHINESE, RARE, encoded, lexicon_of, texts, windows

CONTEXT = 64


@pytest.fixture(scope="module")
def lexicon(tokenizer_json: Path) -> Lexicon:
    return lexicon_of(tokenizer_json, MaskedTokens(), CONTEXT)


def test_every_window_of_usual_text_has_just_the_asked_share_of_predictions(lexicon: Lexicon) -> None:
    batch = windows(lexicon, 40, CONTEXT)
    _, _, targets = MaskedTokens().questions(lexicon, "document", 0).inputs(batch, slice(0, 40), Place(0, 0))
    assert targets.shape == (40, round(0.15 * CONTEXT))
    assert (targets >= 0).all()


@given(text=texts, share=st.floats(0.05, 0.9), step=st.integers(0, 1 << 40))
def test_a_word_is_hidden_with_all_its_tokens_or_not_at_all_and_all_else_stays(
    tokenizer_json: Path, text: str, share: float, step: int
) -> None:
    lexicon = lexicon_of(tokenizer_json, MaskedTokens(), CONTEXT)
    tokens = encoded(lexicon, text)
    objective = MaskedTokens(share=share)
    shown, places, targets = (
        array[0] for array in objective.questions(lexicon, "document", 3).inputs(held_out_rows(tokens[None]), slice(0, 1), Place(step, 0))
    )
    predicted = places[targets >= 0]
    hidden = np.isin(np.arange(len(tokens)), predicted)
    starts = np.flatnonzero(word_starts(tokens[None], np.arange(len(tokens))[None] == 0, lexicon.spelling)[0])
    assert all(len(set(word.tolist())) == 1 for word in np.split(hidden, starts[1:]))
    assert len(predicted) == len(set(predicted.tolist())) <= objective.predictions(len(tokens))
    assert targets[targets >= 0].tolist() == tokens[predicted].tolist()
    assert shown[~hidden].tolist() == tokens[~hidden].tolist()


@pytest.mark.parametrize(
    "text", [CHINESE * 40, RARE * 60, "The old fox jumped 1234 quiet walls. " * 60], ids=["Chinese", "bytes", "English"]
)
def test_of_what_is_hidden_eighty_percent_is_masked_and_ten_replaced_in_any_language(lexicon: Lexicon, text: str) -> None:
    tokens = encoded(lexicon, text)[None, :400]
    questions = MaskedTokens().questions(lexicon, "document", 0)
    fates = {"masked": 0, "kept": 0, "replaced": 0}
    for step in range(60):
        shown, places, targets = (array[0] for array in questions.inputs(held_out_rows(tokens), slice(0, 1), Place(step, 0)))
        here = shown[places[targets >= 0]]
        kept = here == targets[targets >= 0]
        masked = here == lexicon.id_of(MASK)
        fates["masked"] += int(masked.sum())
        fates["kept"] += int(kept.sum())
        fates["replaced"] += int((~kept & ~masked).sum())
        assert np.isin(here[~masked], lexicon.ordinary).all(), "no special token but the mask is put in place of a word"
    shares = {fate: count / sum(fates.values()) for fate, count in fates.items()}
    assert shares == pytest.approx({"masked": 0.8, "kept": 0.1, "replaced": 0.1}, abs=0.03)


def test_every_word_has_its_turn(lexicon: Lexicon) -> None:
    tokens = encoded(lexicon, f"The old fox {CHINESE}{RARE}")[None]
    questions = MaskedTokens(share=0.3).questions(lexicon, "document", 0)
    seen = set[int]()
    for step in range(200):
        _, places, targets = questions.inputs(held_out_rows(tokens), slice(0, 1), Place(step, 0))
        seen |= set(places[targets >= 0].tolist())
    assert seen == set(range(tokens.shape[1]))


def test_the_end_of_a_text_is_never_hidden(lexicon: Lexicon) -> None:
    tokens = np.full((1, CONTEXT), lexicon.end_of_text)
    tokens[0, ::2] = encoded(lexicon, CHINESE * 10)[: CONTEXT // 2]
    questions = MaskedTokens(share=0.9).questions(lexicon, "document", 0)
    for step in range(20):
        shown, places, targets = questions.inputs(held_out_rows(tokens), slice(0, 1), Place(step, 0))
        assert (targets != lexicon.end_of_text).all()
        assert shown[0, 1::2].tolist() == [lexicon.end_of_text] * (CONTEXT // 2)
        assert set(places[targets >= 0].tolist()) <= set(range(0, CONTEXT, 2))


def test_a_window_that_is_one_long_word_is_left_alone(lexicon: Lexicon) -> None:
    tokens = encoded(lexicon, "qz" * CONTEXT)[None, :CONTEXT]
    shown, _, targets = MaskedTokens().questions(lexicon, "document", 0).inputs(held_out_rows(tokens), slice(0, 1), Place(0, 0))
    assert (targets < 0).all()
    assert (shown == tokens).all()


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30), budget=st.integers(1, 40))
def test_words_are_taken_in_order_while_they_fit(lengths: list[int], budget: int) -> None:
    left, expected = budget, []
    for length in lengths:
        expected.append(length <= left)
        left -= length if length <= left else 0
    assert fitting(np.array(lengths), budget).tolist() == expected


def test_documents_of_a_window_are_kept_apart_where_attention_stays_inside_them(lexicon: Lexicon) -> None:
    batch = windows(lexicon, 2, CONTEXT)
    batch.documents[1, 20:] = 1
    assert len(MaskedTokens().questions(lexicon, "document", 0).inputs(batch, slice(0, 1), None)) == 3, "a row of one document"
    *_, documents, positions = MaskedTokens().questions(lexicon, "document", 0).inputs(batch, slice(0, 2), None)
    assert (documents == batch.documents).all()
    assert (positions == batch.positions).all()
    assert len(MaskedTokens().questions(lexicon, "window", 0).inputs(batch, slice(0, 2), None)) == 3


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_of_nothing_or_all_is_refused(share: float) -> None:
    with pytest.raises(RequestError, match=r"objective\.share is"):
        MaskedTokens(share=share)
