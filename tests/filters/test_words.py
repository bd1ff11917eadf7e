"""What a word is, in every script, and what the compiled counting promises."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filters import loops
from pipeline.filters.words import Words, lines_of, words_of

ALONE = "你好𠮷カーก"
PIECES = [*"aBé'’_7 \n\u3000.，#한글👩\0", *ALONE, "e\u0301", "\u0e33", "\u0e31", "\u200c", "\ud800"]


def lengths(text: str) -> list[int]:
    return list(words_of(text).lengths)


def counts(text: str) -> dict[str, float]:
    return {kind: count for kind, count in words_of(text).counts._asdict().items() if count}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n\t…!?", []),
        ("Hello, world", [5, 5]),
        ("don't stop", [5, 4]),
        ("it’s 'quoted'", [4, 6]),
        ("read_file(__init__)", [9, 4]),
        ("mp3 2026-11-22", [3, 4, 2, 2]),
        ("naïve nai\u0308ve", [5, 6]),
        ("你好，世界。", [1, 1, 1, 1]),
        ("用Python写", [1, 6, 1]),
        ("𠮷野家", [1, 1, 1]),
        ("カタカナ ひらがな", [1] * 8),
        ("한국어로 쓴 글", [4, 1, 1]),
        ("ที่", [3]),
        ("สวัสดี", [1, 2, 1, 2]),
        ("میخواهم می\u200cخواهم", [7, 8]),
    ],
)
def test_words_are_runs_of_letters_or_single_characters_of_unspaced_scripts(text: str, expected: list[int]) -> None:
    assert lengths(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one 2 b3", {"run": 2, "number": 1}),
        ("汉字", {"han": 2}),
        ("ひらカタ", {"kana": 4}),
        ("한국어 한1", {"korean": 2}),
        ("สด", {"syllable": 2}),
    ],
)
def test_every_word_has_the_kind_of_its_script(text: str, expected: dict[str, int]) -> None:
    assert counts(text) == expected


def test_chinese_needs_half_as_many_words_again_as_english_and_mixtures_lie_between() -> None:
    assert words_of("plain English words").units_a_word == 1.0
    assert words_of("全部都是汉字").units_a_word == 1.5
    assert 1.0 < words_of("some English 和一些汉字").units_a_word < 1.5
    assert words_of("").units_a_word == 1.0


def test_visible_characters_are_all_but_white_space() -> None:
    assert words_of("a b\u3000你，\n").visible == 4


def test_lines_are_stripped_and_blank_ones_are_empty() -> None:
    assert lines_of("  one \n\n\ttwo\r\n   \nthree") == ("one", "", "two", "", "three")


def plain_words(text: str) -> list[str]:
    """The definition of a word once more, a character at a time."""
    found: list[str] = []
    state = "outside"
    for place, character in enumerate(text):
        if character in ALONE or character == "\u0e33":
            found.append(character)
            state = "alone"
        elif in_run(character):
            if state == "run":
                found[-1] += character
            else:
                found.append(character)
            state = "run"
        elif (unicodedata.category(character) in ("Mn", "Cf") and state != "outside") or (
            character in "'’_" and state == "run" and in_run(text[place + 1 : place + 2])
        ):
            found[-1] += character
        else:
            state = "outside"
    return found


def in_run(character: str) -> bool:
    return character.isalnum() and character not in ALONE and character != "\u0e33"


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_words_are_those_of_the_definition_and_equal_words_have_equal_hashes(text: str) -> None:
    expected = plain_words(text)
    words = words_of(text)
    assert words.lengths.tolist() == [len(word) for word in expected]
    assert sum(words.characters) == sum(map(len, expected))
    assert sum(words.counts) == len(expected)
    assert words.visible == sum(not character.isspace() for character in text)
    assert len(set(zip(expected, words.hashes.tolist(), strict=True))) == len(set(expected)) == len(set(words.hashes.tolist()))


def plain_repetition(words: list[str], n: int) -> int:
    """The characters in repeated n-grams, by sets of places."""
    grams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
    number = Counter(grams)
    if n <= loops.TOP:
        repeated = [gram for gram in number if number[gram] > 1]
        if not repeated:
            return 0
        best = max(repeated, key=lambda gram: (number[gram], sum(map(len, gram)), -grams.index(gram)))
        places = [place for place, gram in enumerate(grams) if gram == best]
    else:
        places = [place for place, gram in enumerate(grams) if gram in grams[:place]]
    return sum(len(words[word]) for word in {place + step for place in places for step in range(n)})


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=30)
    | st.lists(st.sampled_from(["a", "bb"]), min_size=8, max_size=24).map(lambda part: part * 2)
)
def test_repeated_characters_are_those_of_the_definition(text: list[str]) -> None:
    words = words_of(" ".join(text))
    found = loops.repeated_characters(words.hashes, words.lengths, 1.0).tolist()
    assert found == [plain_repetition(text, n) for n in range(2, loops.LONGEST + 1)]


def test_an_n_gram_of_chinese_is_as_long_as_about_n_words() -> None:
    words = words_of("春眠不觉晓处处闻啼鸟" * 2)
    found = loops.repeated_characters(words.hashes, words.lengths, words.units_a_word)
    assert words.units_a_word == 1.5
    assert found.tolist() == [plain_stretched(n) for n in range(2, 11)]


def plain_stretched(n: int) -> int:
    """20 characters, the second ten as the first: the top n-gram occurs twice; duplicates cover the second half."""
    size = int(1.5 * n + 0.5)
    return 0 if size > 10 else 2 * size if n <= loops.TOP else 10


def test_a_text_of_one_repeated_word_is_counted_once_for_each_character() -> None:
    words: Words = words_of("la " * 1000)
    found = loops.repeated_characters(words.hashes, words.lengths, 1.0)
    assert np.all(found[: loops.TOP - 1] == 2000)
    assert np.all(found[loops.TOP - 1 :] == 1998)
