"""FineWeb's three rules, each on its published threshold."""

import pytest

from pipeline.errors import RequestError
from pipeline.filters.fineweb import FineWeb
from tests.filters.texts import CHINESE, ENGLISH, verdict

LONG = "{} is the beginning of a line that is long enough"
OFF = {"ended_lines": 0.0, "short_lines": 1.0, "duplicate_characters": 1.0}


def lines(number: int) -> list[str]:
    """Different lines of more than thirty characters."""
    return [LONG.format(f"word{place:03}") for place in range(number)]


@pytest.mark.parametrize("prose", [ENGLISH, CHINESE])
def test_prose_in_english_and_in_chinese_is_kept(prose: str) -> None:
    assert verdict(FineWeb(), prose) is None


def test_more_than_twelve_lines_of_a_hundred_end_in_a_mark() -> None:
    page = lines(100)
    for mark in (".", "!", "?", '"', "'", "。", "！", "……"):
        assert verdict(FineWeb(), "\n".join([f"{line}{mark}" for line in page[:13]] + page[13:])) is None
        assert verdict(FineWeb(), "\n".join([f"{line}{mark}" for line in page[:12]] + page[12:])) == "few-ended-lines"


def test_fewer_than_sixty_seven_lines_of_a_hundred_are_shorter_than_thirty_characters() -> None:
    page = [f"{line}." for line in lines(100)]
    short = [f"Short line {place:03}." for place in range(100)]
    assert verdict(FineWeb(), "\n\n".join(short[:66] + page[66:])) is None
    assert verdict(FineWeb(), "\n".join(short[:67] + page[67:])) == "short-lines"


def test_thirty_characters_are_not_short_nor_are_seven_of_chinese_and_two_marks_or_ten_of_kana() -> None:
    assert verdict(FineWeb(), "x" * 29 + ".") is None
    assert verdict(FineWeb(), "x" * 28 + ".") == "short-lines"
    assert verdict(FineWeb(), "今天的天气非常好。") is None
    assert verdict(FineWeb(), "“今天的天气很好。") is None
    assert verdict(FineWeb(), "今天的天气很好。") == "short-lines"
    assert verdict(FineWeb(), "きょうはとてもよいひ。") is None
    assert verdict(FineWeb(), "きょうはとてもよい。") == "short-lines"


def test_fewer_than_a_tenth_of_the_characters_are_in_repeated_lines() -> None:
    page = [f"{line}." for line in lines(10)]
    assert verdict(FineWeb(), "\n".join([*page, page[0]])) is None  # 1 of 11
    assert verdict(FineWeb(), "\n".join([*page[:9], page[0]])) == "duplicate-line-characters"  # 1 of 10


def test_each_threshold_is_its_own() -> None:
    text = "\n".join(["same line"] * 3)
    assert verdict(FineWeb(ended_lines=0.0), text) == "few-ended-lines"
    text += "."
    assert verdict(FineWeb(**{**OFF, "short_lines": 1.0}), text) == "short-lines"  # type: ignore[arg-type]
    assert verdict(FineWeb(**{**OFF, "short": 1}), text) is None  # type: ignore[arg-type]
    assert verdict(FineWeb(**{**OFF, "short": 1, "duplicate_characters": 0.3}), text) == "duplicate-line-characters"  # type: ignore[arg-type]


def test_shares_are_checked() -> None:
    with pytest.raises(RequestError, match=r"FineWeb\.short_lines is 67: use shares between 0 and 1"):
        FineWeb(short_lines=67)
