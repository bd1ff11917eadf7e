"""ROUGE of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.rouge import longest_common, rouge_metrics, rouge_scores, words_of

SHUFFLED = "will it #Person2# pulmonary trouble a and breathing. doctor specialist. to asks #Person2# about The has #Person2#"
SUMMARY = (
    "#Person2# has trouble breathing. The doctor asks #Person2# about it and will send #Person2# to a pulmonary specialist."  # DialogSum
)
OTHER = "#Person1# invites Jimmy to go workout and persuades him into working out on arms and stomach."
NAMES = ("rouge1", "rouge2", "rougeL")
GOOGLES = [
    (SHUFFLED, SUMMARY, (0.9714285714285714, 0.12121212121212122, 0.45714285714285713)),
    (OTHER, SUMMARY, (0.11764705882352941, 0.0, 0.058823529411764705)),
    ("The cat's 3.5% off_set -- A-1!", "the CAT s 3 5 off set a 1", (1.0, 1.0, 1.0)),
    ("the the the", "the the", (0.8, 2 / 3, 0.8)),
    ("", "a", (0.0, 0.0, 0.0)),
    ("...", "x", (0.0, 0.0, 0.0)),
]
"""What rouge_score 0.1.2 says, without stemming."""


@pytest.mark.parametrize(("said", "expected", "scores"), GOOGLES)
def test_english_scores_what_googles_package_gives_it(said: str, expected: str, scores: tuple[float, ...]) -> None:
    assert rouge_scores(said, expected) == pytest.approx(dict(zip(NAMES, scores, strict=True)))


def test_chinese_is_compared_by_its_characters_and_other_letters_by_words() -> None:
    assert words_of("我买了iPhone手机，不是 Café の Straße।") == [*"我买了", "iphone", *"手机不是", "café", "の", "straße"]
    assert rouge_scores("今天天气好", "今天下雨") == pytest.approx({"rouge1": 4 / 9, "rouge2": 2 / 7, "rougeL": 4 / 9})


def test_a_word_keeps_the_marks_of_its_letters() -> None:
    assert words_of("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


def test_metrics_are_means_over_rows() -> None:
    rows = [rouge_scores("a b", "a b"), rouge_scores("", "a b")]
    totals = {**{name: sum(row[name] for row in rows) for name in NAMES}, "n": 2.0}
    assert rouge_metrics(totals) == dict.fromkeys(NAMES, 0.5)


@given(st.lists(st.sampled_from("abcd"), max_size=80), st.lists(st.sampled_from("abcd"), max_size=80))
def test_the_longest_common_subsequence_is_that_of_the_table(left: list[str], right: list[str]) -> None:
    row = [0] * (len(right) + 1)
    for word in left:
        before = row[:]
        for place, other in enumerate(right):
            row[place + 1] = before[place] + 1 if word == other else max(row[place], before[place + 1])
    assert longest_common(left, right) == row[-1]
