"""Each rule of the symbols filter, alone."""

import pytest

from pipeline.filters.symbols import Symbols
from tests.filters.texts import CHINESE, ENGLISH, verdict


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "", "word"])
def test_ordinary_text_is_kept(text: str) -> None:
    assert verdict(Symbols(), text) is None


def test_one_hash_in_ten_words_is_kept_and_two_are_not() -> None:
    words = "one two three four five six seven eight nine ten"
    assert verdict(Symbols(), f"#{words}") is None
    assert verdict(Symbols(), f"#{words}#") == "hashes"
    assert verdict(Symbols(), "#话题#今天天气很好") == "hashes"


def test_an_ellipsis_counts_once_in_each_of_its_forms() -> None:
    words = "one two three four five six seven eight nine ten"
    for form in ("...", "…", "……"):
        assert verdict(Symbols(), f"{form} {words}") is None
        assert verdict(Symbols(), f"{form} {words} {form} end") == "ellipses"


@pytest.mark.parametrize("bullet", ["•", "●", "·", "- ", "* "])
def test_a_text_of_bullets_alone_is_dropped(bullet: str) -> None:
    items = [f"{bullet}item number {name}" for name in "abcdefghij"]
    assert verdict(Symbols(), "\n".join(items)) == "bullet-lines"
    assert verdict(Symbols(), "\n\n".join(["What to bring", *items[:9]])) is None


@pytest.mark.parametrize("ellipsis", ["...", "…", "……"])
def test_lines_that_break_off_are_counted(ellipsis: str) -> None:
    whole = ["春天来了 这里有很多很多的花和草", "a line of quite a few words that goes on and on to its end"] * 3
    broken = [f"{line}{ellipsis}  " for line in whole]
    assert verdict(Symbols(ellipsis_lines=0.5), "\n".join(whole[:3] + broken[:3])) is None
    assert verdict(Symbols(ellipsis_lines=0.5), "\n".join(whole[:2] + broken[:3])) == "ellipsis-lines"


def test_symbols_without_any_word_are_dropped() -> None:
    assert verdict(Symbols(), "####") == "hashes"
    assert verdict(Symbols(), "... ... ...") == "ellipses"
