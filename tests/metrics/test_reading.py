"""Exact match and F1 of answers, as the published evaluations have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.reading import Language, Match, best_match, match, words


@pytest.mark.parametrize(
    ("text", "language", "compared"),
    [
        ("The  Denver-Broncos, and an\tapple!", "en", ["denverbroncos", "and", "apple"]),
        ("a the an", "en", []),
        ("them theatre", "en", ["them", "theatre"]),
        ("在 2014 年，Sacré-Cœur！", "zh", ["在", "2014", "年", "sacrécœur"]),
        ("《红楼梦》（曹雪芹）", "zh", ["红", "楼", "梦", "曹", "雪", "芹"]),
        ("the 第3次", "zh", ["the", "第", "3", "次"]),
    ],
)
def test_a_text_is_compared_by_these_words(text: str, language: Language, compared: list[str]) -> None:
    assert words(text, language) == compared


@pytest.mark.parametrize(
    ("answer", "right", "language", "exact", "f1"),
    [
        ("The Broncos.", "broncos", "en", 1, 1),
        ("Denver Broncos won", "the Denver Broncos", "en", 0, 0.8),
        ("no no no", "no", "en", 0, 0.5),
        ("", "", "en", 1, 1),
        ("the", "", "en", 1, 1),
        ("fox", "", "en", 0, 0),
        ("", "fox", "en", 0, 0),
        ("三百零八分", "308分", "zh", 0, pytest.approx(2 / 7)),
        ("308 分。", "３０８分", "zh", 0, pytest.approx(0.5)),
        ("曹雪芹。", "曹雪芹", "zh", 1, 1),
    ],
)
def test_an_answer_is_worth_this_beside_a_right_one(answer: str, right: str, language: Language, exact: float, f1: float) -> None:
    assert match(answer, right, language) == Match(exact, f1)


def test_the_best_over_the_right_answers_counts_for_each_measure() -> None:
    assert best_match("the old fox", ["fox", "an old grey fox", "heron"], "en") == Match(0, pytest.approx(0.8))


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["en", "zh"]))
def test_f1_is_the_same_both_ways_and_whole_only_for_the_same_words(one: str, other: str, language: Language) -> None:
    found = match(one, other, language)
    assert found == match(other, one, language)
    assert 0 <= found.exact <= found.f1 <= 1
    assert (found.f1 == 1) == (sorted(words(one, language)) == sorted(words(other, language)))


@given(st.text(max_size=30), st.sampled_from(["en", "zh"]))
def test_a_text_matches_itself_in_any_case_and_spacing(text: str, language: Language) -> None:
    assert match(text, f"  {text} ", language) == Match(1, 1)
