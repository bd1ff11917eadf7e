"""Each rule of the alphanumeric filter, alone."""

import pytest

from pipeline.errors import RequestError
from pipeline.filters.alphanumeric import Alphanumeric
from tests.filters.texts import CHINESE, ENGLISH, verdict

KOREAN = "위원회는 목요일에 모여 회원들이 여름 동안 보낸 제안을 검토했다. 대부분은 강가의 낡은 도서관에 관한 것이었다."
JAPANESE = "委員会は木曜日に集まり、会員が夏の間に送った提案を検討した。ほとんどは川沿いの古い図書館に関するものだった。"
THAI = "คณะกรรมการประชุมกันในวันพฤหัสบดีเพื่อพิจารณาข้อเสนอที่สมาชิกส่งมาในช่วงฤดูร้อน"


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, KOREAN, JAPANESE, THAI, "", "…！"[:0]])
def test_ordinary_text_of_every_script_is_kept(text: str) -> None:
    assert verdict(Alphanumeric(), text) is None


def test_four_words_with_letters_of_five_are_kept_and_fewer_are_not() -> None:
    assert verdict(Alphanumeric(), "four words with letters 2026") is None
    assert verdict(Alphanumeric(), "three words with 11 2026") == "few-alphabetic-words"
    assert verdict(Alphanumeric(), "第一 1 2 3") == "few-alphabetic-words"
    assert verdict(Alphanumeric(), "mp3 h264 x86 utf8 v11") is None


def test_a_text_of_punctuation_is_dropped() -> None:
    assert verdict(Alphanumeric(), "(╯°□°)╯︵ ┻━┻ ok") == "few-alphanumeric-characters"
    assert verdict(Alphanumeric(characters=0.5), "word ####") is None
    assert verdict(Alphanumeric(characters=0.5), "word #####") == "few-alphanumeric-characters"


def test_words_that_are_too_short_or_too_long_on_average_are_dropped() -> None:
    assert verdict(Alphanumeric(), "abc def ghi") is None
    assert verdict(Alphanumeric(), "abc def gh") == "short-words"
    assert verdict(Alphanumeric(), "abcdefghij klmnopqrst") is None
    assert verdict(Alphanumeric(), "abcdefghij klmnopqrstu") == "long-words"


def test_the_length_of_a_few_foreign_words_in_chinese_tells_nothing() -> None:
    assert verdict(Alphanumeric(), "甲 A 乙 B 丙 C 丁 D 戊") is None
    assert verdict(Alphanumeric(), "甲 A 乙 B 丙 C 丁 D") == "short-words"


def test_limits_that_would_keep_nothing_are_refused() -> None:
    with pytest.raises(RequestError, match=r"Alphanumeric\.most_length is 2\.0, below"):
        Alphanumeric(most_length=2.0)
