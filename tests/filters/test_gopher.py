"""Gopher's quality rules, each on the edge of its threshold."""

from itertools import pairwise

import pytest

from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.gopher import CHINESE, ENGLISH, GopherQuality
from pipeline.filters.length import WordCount
from pipeline.filters.lexicon import lexicon
from pipeline.filters.words import words_of
from tests.filters.texts import CHINESE as CHINESE_PROSE
from tests.filters.texts import ENGLISH as ENGLISH_PROSE
from tests.filters.texts import verdict

BASE = ["the", "of", *(["word"] * 48)]


def text(*words: str) -> str:
    return " ".join(words)


@pytest.mark.parametrize("prose", [ENGLISH_PROSE, CHINESE_PROSE])
def test_prose_in_english_and_in_chinese_is_kept(prose: str) -> None:
    assert verdict(GopherQuality(), prose) is None


def test_fifty_words_are_enough_and_a_hundred_thousand_not_too_many() -> None:
    assert verdict(GopherQuality(), text(*BASE)) is None
    assert verdict(GopherQuality(), text(*BASE[:-1])) == "too-few-words"
    assert verdict(GopherQuality(), text(*BASE, *(["word"] * 99_950))) is None
    assert verdict(GopherQuality(), text(*BASE, *(["word"] * 99_951))) == "too-many-words"


def test_words_are_three_to_ten_characters_long_on_average() -> None:
    short = ["be", "to"] * 25
    assert verdict(GopherQuality(), text(*short[:-1], "x" * 52)) is None  # 49 of two and one of 52: three on average
    assert verdict(GopherQuality(), text(*short[:-1], "x" * 51)) == "short-words"
    long = ["the", "of", *(["tenletters"] * 48)]
    assert verdict(GopherQuality(), text(*long[:-1], "x" * 25)) is None  # 3 + 2 + 470 + 25: ten on average
    assert verdict(GopherQuality(), text(*long[:-1], "x" * 26)) == "long-words"


def test_one_hash_or_ellipsis_in_ten_words_is_kept() -> None:
    for symbol, reason in (("#", "hashes"), ("…", "ellipses"), ("...", "ellipses")):
        assert verdict(GopherQuality(), f"{symbol * 5} {text(*BASE)}".replace("... ...", "...")) is None
        assert verdict(GopherQuality(), f"{' '.join([symbol] * 6)} {text(*BASE)}") == reason


def test_nine_lines_of_ten_may_begin_with_a_bullet() -> None:
    lines = ["• the word of five words"] * 18
    assert verdict(GopherQuality(), "\n".join([*lines, "A line.", "A line."])) is None
    assert verdict(GopherQuality(), "\n".join([*lines, "• A line.", "A line."])) == "bullet-lines"


def test_three_lines_of_ten_may_end_in_an_ellipsis() -> None:
    whole = "the line of more than a dozen words that goes on and on to its very end"
    lines = [whole] * 10
    assert verdict(GopherQuality(), "\n".join([f"{line}..." for line in lines[:3]] + lines[3:])) is None
    assert verdict(GopherQuality(), "\n".join([f"{line}..." for line in lines[:4]] + lines[4:])) == "ellipsis-lines"


def test_four_words_of_five_have_a_letter() -> None:
    assert verdict(GopherQuality(), text(*BASE[:40], *(["2026"] * 10))) is None
    assert verdict(GopherQuality(), text(*BASE[:39], *(["2026"] * 11))) == "few-alphabetic-words"


@pytest.mark.parametrize("first", ENGLISH)
def test_two_different_stop_words_of_the_eight_are_enough(first: str) -> None:
    other = next(word for word in ENGLISH if word != first)
    rest = ["word"] * 48
    assert verdict(GopherQuality(), text(first, other, *rest)) is None
    assert verdict(GopherQuality(), text(first.upper(), other.capitalize(), *rest)) is None
    assert verdict(GopherQuality(), text(first, first, *rest)) == "few-stop-words"
    assert verdict(GopherQuality(stop_words=1), text(first, first, *rest)) is None


def test_a_stop_word_inside_another_word_is_none() -> None:
    assert verdict(GopherQuality(), text("these", "often", *(["word"] * 48))) == "few-stop-words"


def test_chinese_has_stop_words_of_its_own() -> None:
    names = "山川河流湖海星辰日月" * 5
    assert verdict(GopherQuality(), names) == "few-stop-words"
    for first, second in pairwise(CHINESE):
        assert verdict(GopherQuality(), f"{names}{first}{second}") is None


def test_each_part_can_have_other_thresholds() -> None:
    rule = GopherQuality(words=WordCount(least=2), letters=Alphanumeric(alphabetic_words=0.0), stop_words=0)
    assert verdict(rule, "2026 2027") is None
    assert verdict(GopherQuality(words=WordCount(least=2)), "2026 2027") == "few-alphabetic-words"


def test_a_lexicon_counts_words_and_different_words_in_every_case() -> None:
    hashes = words_of("The end of the end, OF course; 的 often").hashes
    assert lexicon(("the", "of", "的", "never")).count(hashes) == 5
    assert lexicon(("the", "of", "的", "never")).distinct(hashes) == 3
    assert lexicon(("never",)).count(words_of("").hashes) == 0
