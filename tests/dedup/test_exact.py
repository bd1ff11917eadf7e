"""When two texts are equal."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.exact import exact_keys
from pipeline.dedup.shingles import text_buffers

SPACES = [chr(code) for code in range(0x110000) if chr(code).isspace()]
spaced_text = st.text(st.sampled_from([*SPACES, "a", "B", "é", "中", "\u200b", "\u2027", "\u0084", "\u2060", "\U0001f600"]), max_size=12)


def keys_of(texts: list[str]) -> list[tuple[int, ...]]:
    return [tuple(key) for key in exact_keys(text_buffers(pa.array(texts, pa.large_string()))).tolist()]


@settings(deadline=None, max_examples=500)
@given(spaced_text, spaced_text)
def test_texts_are_equal_exactly_if_they_are_with_white_space_folded(one: str, other: str) -> None:
    folded = [" ".join(text.split()) for text in (one, other)]
    left, right, *rest = keys_of([one, other, *folded])
    assert (left == right) == (folded[0] == folded[1])
    assert rest == [left, right]


def test_every_white_space_character_of_unicode_is_folded() -> None:
    assert set(keys_of([f"{space}a{space}{space}b{space}" for space in SPACES])) == set(keys_of(["a b"]))


def test_case_punctuation_and_unicode_forms_count() -> None:
    assert len(set(keys_of(["café", "Café", "café.", "cafe\u0301", "caf é"]))) == 5


def test_the_key_of_a_text_does_not_depend_on_its_neighbours() -> None:
    texts = ["", "one", " two  three ", "", "四"]
    assert keys_of(texts) == [key for text in texts for key in keys_of([text])]
    assert keys_of([]) == []
