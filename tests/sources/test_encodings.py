"""Encodings are told apart, and nothing is ever replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.formats.encodings import decode, detect

CHINESE = "我们这里的天气很好，大家都在外面走路。他说他明天也会来看我们的新房子。\n" * 3
OLD = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。\n空山不見人，但聞人語響。返景入深林，復照青苔上。\n" * 3
ENGLISH = "It was the best of times, it was the worst of times.\n" * 5
OTHERS = {
    "cp1252": "Les élèves français étaient à l’école où ils avaient déjà été l'année dernière, près de la forêt.\n" * 3,
    "cp1251": "Мы, многонациональный народ Российской Федерации, соединенные общей судьбой на своей земле.\n" * 5,
    "koi8_r": "Мы, многонациональный народ Российской Федерации, соединенные общей судьбой на своей земле.\n" * 5,
    "cp932": "日本国民は、正当に選挙された国会における代表者を通じて行動し、われらとわれらの子孫のために\n" * 5,
    "cp949": "대한민국의 국민이 되는 요건은 법률로 정한다. 국가는 재외국민을 보호할 의무를 진다.\n" * 5,
    "big5": "中華民國基於三民主義，為民有民治民享之民主共和國。\n" * 5,
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
@pytest.mark.parametrize("text", [CHINESE, OLD, ENGLISH, CHINESE + ENGLISH], ids=["chinese", "old-chinese", "english", "both"])
def test_chinese_and_english_are_read_in_the_encodings_of_the_contract(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_chinese_without_any_ascii_is_recognised(encoding: str) -> None:
    text = CHINESE.replace("\n", "")
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", OTHERS)
def test_other_old_encodings_are_found_likely(encoding: str) -> None:
    assert decode(OTHERS[encoding].encode(encoding)) == OTHERS[encoding]


@given(st.text().filter(lambda text: "\0" not in text and not text.startswith("\ufeff")))
def test_any_text_in_utf_8_is_read_as_it_is(text: str) -> None:
    assert decode(text.encode()) == text


@given(st.text(min_size=1).filter(lambda text: "\0" not in text), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]))
def test_any_text_with_a_mark_is_read_as_it_is(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_none(data: bytes) -> None:
    text = decode(data)
    assert text is None or isinstance(text, str)


@pytest.mark.parametrize(
    "data", [CHINESE.encode()[:-2], CHINESE.encode()[:50] + b"\xff" + CHINESE.encode()[51:], CHINESE.encode("utf-16")[:-1]]
)
def test_damaged_text_has_no_text_rather_than_another(data: bytes) -> None:
    assert decode(data) is None


def test_the_encoding_is_found_from_a_beginning_that_ends_inside_a_character() -> None:
    for encoding in ("utf-8", "gb18030", "utf-16-le"):
        for end in range(100, 104):
            assert detect(CHINESE.encode(encoding)[:end], whole=False) == encoding
