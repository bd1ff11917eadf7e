"""What shingles are made of."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.gather import shingle_sets
from pipeline.dedup.shingles import shingles, text_buffers
from tests.dedup.corpora import shingle_list, words

hostile_text = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=60)
mixed_text = st.text("aB_9 .,é\u0301中文カな한ก็ँ𠀀☺️\u200d\n", max_size=60)


def hashes_of(texts: list[str], width: int = 5, characters: bool = False) -> list[list[int]]:
    buffers = text_buffers(pa.array(texts, pa.large_string()))
    hashes, ends = shingles(buffers, np.arange(len(texts)), width, characters)
    return [part.tolist() for part in np.split(hashes[: ends[-1]], ends[:-1])]


@settings(deadline=None, max_examples=300)
@given(st.lists(hostile_text | mixed_text, min_size=1, max_size=4), st.integers(1, 6), st.booleans())
def test_two_hashes_are_equal_exactly_if_the_words_of_their_shingles_are(texts: list[str], width: int, characters: bool) -> None:
    hashes = [found for document in hashes_of(texts, width, characters) for found in document]
    expected = [shingle for text in texts for shingle in shingle_list(text, width, characters)]
    assert len(hashes) == len(expected)
    assert len(set(zip(hashes, expected, strict=True))) == len(set(hashes)) == len(set(expected))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The quick-brown_fox, 42!", ["the", "quick", "brown_fox", "42"]),
        ("床前明月光，疑是地上霜。", list("床前明月光疑是地上霜")),
        ("用Python写3行代码", ["用", "python", "写", "3", "行", "代", "码"]),
        ("データベース", list("データベース")),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ภาษาไทย", list("ภาษาไทย")),
        ("naïve ΣΊΣΥΦΟΣ", ["naïve", "σίσυφοσ"]),
        ("☺☺, !", ["☺", "☺", ",", "!"]),
        (" \n\t ", []),
    ],
)
def test_words_are_what_a_reader_of_the_script_would_count(text: str, found: list[str]) -> None:
    assert words(text) == found
    assert hashes_of([text]) == hashes_of([" ".join(found)])


def test_a_text_shorter_than_a_shingle_is_one_shingle_of_all_its_words() -> None:
    assert hashes_of(["Good morning!", "good  morning", "good evening"])[0] == hashes_of(["good  morning"])[0]
    assert [len(found) for found in hashes_of(["", "one", "one two three four five", "one two three four five six"])] == [0, 1, 1, 2]


def test_a_set_holds_every_shingle_of_its_own_row_once_and_sorted() -> None:
    texts = pa.array(["a a a a a a a a", "a a a a a", "", "x y z x y z x y z x y z"], pa.large_string())
    sets = shingle_sets(text_buffers(texts), 3, False).to_pylist()
    assert [len(found) for found in sets] == [1, 1, 0, 3]
    assert sets[0] == sets[1]
    assert sets[3] == sorted(set(sets[3]))
    assert shingle_sets(text_buffers(texts[3:]), 3, False).to_pylist() == [sets[3]]


def test_bytes_that_are_no_text_are_never_read_past_their_end() -> None:
    data = b"\xf0\x9f\x98" + b"next" + b"\xe4" + b"\xff\x80"
    texts = pa.LargeStringArray.from_buffers(4, pa.py_buffer(np.array([0, 3, 7, 8, 10])), pa.py_buffer(data))
    hashes, ends = shingles(text_buffers(texts), np.arange(4), 5, False)
    assert ends.tolist() == [0, 1, 1, 1]
    assert hashes[0] == hashes_of(["next"])[0][0]


def test_a_slice_of_a_column_has_the_shingles_of_its_own_rows() -> None:
    texts = pa.array(["one two", "three four", "five six"], pa.large_string())
    hashes, ends = shingles(text_buffers(texts[1:]), np.arange(2), 2, False)
    assert hashes[: ends[-1]].tolist() == [found for [found] in hashes_of(["three four", "five six"], 2)]


def test_every_letter_of_the_alphabets_in_use_counts() -> None:
    letters = [chr(code) for code in range(0x20000) if unicodedata.category(chr(code)).startswith(("L", "Nd"))]
    assert [letter for letter in letters if len(words(letter)) != 1] == []
    assert [letter for letter, found in zip(letters, hashes_of(letters), strict=True) if len(found) != 1] == []
