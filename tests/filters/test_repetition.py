"""Each rule of the repetition filter, alone, on the edge of its threshold."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.filters.repetition import Repetition
from tests.filters.texts import CHINESE, ENGLISH, verdict

OFF = {
    "duplicate_lines": 1.0,
    "duplicate_paragraphs": 1.0,
    "duplicate_line_characters": 1.0,
    "duplicate_paragraph_characters": 1.0,
    "top_grams": (1.0,) * 3,
    "duplicate_grams": (1.0,) * 6,
}


def only(**rules: object) -> Repetition:
    """The filter with every other rule switched off."""
    return Repetition(**{**OFF, **rules})  # type: ignore[arg-type]


def with_share(length: int, place: int, value: float) -> tuple[float, ...]:
    return tuple(value if here == place else 1.0 for here in range(length))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "", "word", "一"])
def test_ordinary_text_is_kept(text: str) -> None:
    assert verdict(Repetition(), text) is None


def test_three_repeated_lines_of_ten_are_kept_and_four_are_not() -> None:
    lines = [f"line {name}" for name in "abcdefghij"]
    assert verdict(only(duplicate_lines=0.3), "\n\n".join(lines[:7] + lines[:3])) is None
    assert verdict(only(duplicate_lines=0.3), "\n\n".join(lines[:6] + lines[:4])) == "duplicate-lines"


def test_repeated_lines_are_told_apart_from_the_space_around_them() -> None:
    assert verdict(only(duplicate_lines=0.3), "静夜思\n  静夜思 \n\t静夜思\r\n床前明月光") == "duplicate-lines"


def test_repeated_lines_are_also_weighed_by_their_characters() -> None:
    text = "\n".join(["x" * 30, "x" * 30, *("abcdefgh")])
    assert verdict(only(duplicate_line_characters=0.45), text) is None
    assert verdict(only(duplicate_line_characters=0.44), text) == "duplicate-line-characters"
    assert verdict(only(duplicate_lines=0.1), text) is None


def test_paragraphs_are_what_blank_lines_part() -> None:
    refrain = "明月几时有\n把酒问青天"
    text = f"{refrain}\n\n不知天上宫阙\n\n \n\n{refrain}\n\n\n今夕是何年"
    assert verdict(only(duplicate_paragraphs=0.25), text) is None
    assert verdict(only(duplicate_paragraphs=0.24), text) == "duplicate-paragraphs"
    assert verdict(only(duplicate_paragraph_characters=0.2), text) == "duplicate-paragraph-characters"
    assert verdict(only(duplicate_paragraphs=0.0, duplicate_paragraph_characters=0.0), text.replace("\n\n", "\n")) is None


def test_the_top_n_grams_are_measured_by_the_share_of_characters_inside_them() -> None:
    text = "new york is big and new york is loud but people who love new york stay"
    inside, whole = 3 * len("newyork"), len(text.replace(" ", ""))
    assert verdict(only(top_grams=with_share(3, 0, inside / whole)), text) is None
    assert verdict(only(top_grams=with_share(3, 0, inside / whole - 0.001)), text) == "top-two-gram"
    assert verdict(only(top_grams=with_share(3, 1, 0.2)), text) == "top-three-gram"
    assert verdict(only(top_grams=with_share(3, 2, 0.2)), text) is None
    assert verdict(only(top_grams=with_share(3, 2, 0.2)), "we all fall down " * 3) == "top-four-gram"


def test_what_occurs_once_is_no_repetition_however_short_the_text() -> None:
    assert verdict(only(top_grams=(0.0, 0.0, 0.0), duplicate_grams=(0.0,) * 6), "two words") is None


@pytest.mark.parametrize(("place", "n"), [(0, "five"), (1, "six"), (2, "seven"), (3, "eight"), (4, "nine"), (5, "ten")])
def test_duplicate_n_grams_are_told_by_their_n(place: int, n: str) -> None:
    words = [f"w{step:02}" for step in range(20)]
    text = " ".join([*words, "other", "words", "here", *words[: place + 5], "end", "of", "it"])
    assert verdict(only(duplicate_grams=with_share(6, place, 0.1)), text) == f"duplicate-{n}-grams"
    if place < 5:
        assert verdict(only(duplicate_grams=with_share(6, place + 1, 0.0)), text) is None


@pytest.mark.parametrize(("place", "n"), [(0, "five"), (1, "six"), (2, "seven"), (3, "eight"), (4, "nine"), (5, "ten")])
def test_the_share_inside_duplicate_n_grams_may_reach_its_threshold_but_not_pass_it(place: int, n: str) -> None:
    words = [f"w{step:02}" for step in range(20)]
    inside, whole = 3 * (place + 5), 3 * (len(words) + place + 5) + 3
    text = " ".join([*words, "and", *words[: place + 5]])
    assert verdict(only(duplicate_grams=with_share(6, place, inside / whole)), text) is None
    assert verdict(only(duplicate_grams=with_share(6, place, inside / whole - 0.001)), text) == f"duplicate-{n}-grams"


def test_the_characters_of_repeated_paragraphs_may_reach_their_threshold_but_not_pass_it() -> None:
    text = "\n\n".join(["x" * 30, "y" * 40, "x" * 30])
    assert verdict(only(duplicate_paragraph_characters=0.3), text) is None
    assert verdict(only(duplicate_paragraph_characters=0.29), text) == "duplicate-paragraph-characters"


def test_a_chinese_text_that_says_the_same_again_is_dropped() -> None:
    assert verdict(Repetition(), CHINESE + CHINESE) == "duplicate-five-grams"
    assert verdict(Repetition(), "买买买" * 30) == "top-two-gram"


def test_the_number_of_shares_is_checked() -> None:
    with pytest.raises(RequestError, match=r"Repetition\.top_grams is \(0\.2, 0\.2\): use 3 shares"):
        Repetition(top_grams=(0.2, 0.2))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"Repetition\.duplicate_lines is 1\.5: use shares between 0 and 1"):
        Repetition(duplicate_lines=1.5)


def dropped_share(texts: Sequence[str]) -> float:
    return sum(verdict(Repetition(), text) is not None for text in texts) / len(texts)


def test_the_defaults_drop_little_of_real_prose_and_verse_in_english_and_chinese(shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "english-mixed.jsonl.gz", "rt") as file:
        prose = [json.loads(line)["text"] for line, _ in zip(file, range(300), strict=False)]
    with gzip.open(shared_data / "text" / "chinese-poetry.jsonl.gz", "rt") as file:
        poems = [json.loads(line)["text"] for place, line in enumerate(file) if place % 20 == 0]
    answers = {
        language: [
            record["output"]
            for record in json.loads((shared_data / "finetune" / "instruct" / f"alpaca_{language}_demo.json").read_text("utf-8"))
            if len(record["output"]) > longer
        ]
        for language, longer in (("en", 400), ("zh", 200))
    }
    assert dropped_share(prose) <= 0.01
    assert dropped_share(poems) <= 0.05
    assert dropped_share(answers["en"]) <= 0.05
    assert dropped_share(answers["zh"]) <= 0.08
