"""Length filters: where they draw the line."""

import pytest

from pipeline.errors import RequestError
from pipeline.filters.length import CharacterCount, WordCount
from tests.filters.texts import verdict


@pytest.mark.parametrize("text", ["one two three", "一二三", "ひらが", "한국 어로 쓴"])
def test_the_limits_on_words_hold_in_every_script_and_are_kept_themselves(text: str) -> None:
    assert verdict(WordCount(least=3, most=3), text) is None
    assert verdict(WordCount(least=4), text) == "too-few"
    assert verdict(WordCount(least=1, most=2), text) == "too-many"


def test_no_limit_above_keeps_what_is_long() -> None:
    assert verdict(WordCount(most=None), "word " * 200_000) is None
    assert verdict(WordCount(), "word " * 200_000) == "too-many"


def test_characters_are_code_points_with_white_space() -> None:
    assert verdict(CharacterCount(least=4, most=4), "你 好\n") is None
    assert verdict(CharacterCount(least=5), "你 好\n") == "too-few"
    assert verdict(CharacterCount(least=0, most=3), "你 好\n") == "too-many"


def test_limits_that_would_keep_nothing_are_refused() -> None:
    with pytest.raises(RequestError, match=r"WordCount\.most is 10, below WordCount\.least \(50\)"):
        WordCount(most=10)
