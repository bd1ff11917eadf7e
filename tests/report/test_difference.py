"""Side by side, two texts lose nothing, and what is not marked is the same on both sides."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.difference import LONGEST, SEGMENTS, Equal, Piece, Row, difference, folded, segments, words

texts = st.text(st.sampled_from("ab \n。诗词🙂é"), max_size=120) | st.text(max_size=60)


def joined(pieces: Iterable[Piece], marked: bool = True) -> str:
    return "".join(piece.text for piece in pieces if marked or not piece.marked)


def sides(rows: Iterable[Row], marked: bool = True) -> tuple[str, str]:
    rows = list(rows)
    return "".join(joined(row.left, marked) for row in rows), "".join(joined(row.right, marked) for row in rows)


@given(texts, texts)
def test_both_texts_are_whole_and_what_is_not_marked_is_equal(one: str, other: str) -> None:
    rows = difference(one, other)
    assert sides(rows) == (one, other)
    left, right = sides(rows, marked=False)
    assert left == right


@given(texts)
def test_equal_texts_differ_in_nothing(text: str) -> None:
    assert all(row.equal for row in difference(text, text))
    assert list(folded(difference(text, text))) == ([Equal(len(segments(text)))] if text else [])


@given(texts, texts)
def test_folding_hides_equal_rows_alone(one: str, other: str) -> None:
    rows = difference(one, other)
    shown = list(folded(rows))
    assert [row for row in shown if isinstance(row, Row) and not row.equal] == [row for row in rows if not row.equal]
    assert sum(row.rows if isinstance(row, Equal) else 1 for row in shown) == len(rows)


@given(st.text())
def test_lines_and_words_put_together_are_the_text(text: str) -> None:
    assert "".join(segments(text)) == text
    assert "".join(words(text)) == text
    assert all(len(line) <= LONGEST for line in segments(text))


def test_of_chinese_the_one_character_is_marked() -> None:
    (first, second) = difference("花舞\n贵客之名从此有。\n", "花舞\n素客之名从此有。\n")
    assert first.equal
    assert second.left == (Piece("贵", True), Piece("客之名从此有。\n"))
    assert second.right == (Piece("素", True), Piece("客之名从此有。\n"))


def test_of_english_the_words_are_marked() -> None:
    (row,) = difference("put you feet here", "put your feet here")
    assert [piece.text for piece in row.left if piece.marked] == ["you"]
    assert [piece.text for piece in row.right if piece.marked] == ["your"]


@pytest.mark.parametrize("signs", ["a ", "\n", "a\nb\n", "甲乙", " "])
def test_hostile_texts_end_soon(signs: str) -> None:
    chance = random.Random(1)
    one, other = ("".join(chance.choices(signs, k=100_000)) for _ in range(2))
    rows = difference(one, other)
    left, right = sides(rows)
    assert one.startswith(left)
    assert other.startswith(right)
    assert len(rows) <= 2 * SEGMENTS
