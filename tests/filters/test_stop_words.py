"""Texts in a dozen languages hold their stop words, and lists of names do not."""

import pytest

from pipeline.filters.stop_word_lists import LISTS
from pipeline.filters.stop_words import StopWords
from pipeline.filters.words import words_of
from tests.filters.test_alphanumeric import JAPANESE, KOREAN
from tests.filters.test_language import ARABIC, FRENCH, GERMAN, RUSSIAN, TRADITIONAL
from tests.filters.texts import CHINESE, ENGLISH, verdict

PROSE = [
    *(ENGLISH, CHINESE, TRADITIONAL, JAPANESE, ARABIC, FRENCH, GERMAN, RUSSIAN),
    "El comité se reunió el jueves para examinar las propuestas que los miembros habían enviado durante el verano.",
    "O comitê reuniu-se na quinta-feira para examinar as propostas que os membros tinham enviado durante o verão.",
    "Il comitato si è riunito giovedì per esaminare le proposte che i membri avevano inviato durante l'estate.",
    "De commissie kwam donderdag bijeen om de voorstellen te bespreken die de leden in de zomer hadden ingestuurd.",
    "Komitet zebrał się w czwartek, aby rozpatrzyć wnioski, które członkowie przysłali w ciągu lata.",
    "Komite, üyelerin yaz boyunca gönderdiği önerileri görüşmek üzere perşembe günü bir araya geldi ve bu konuda karar aldı.",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_in_a_dozen_languages_is_kept(text: str) -> None:
    assert verdict(StopWords(), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "buy cheap watches online discount replica luxury brands sale shipping worldwide outlet store price best quality " * 3,
        "北京上海天津重庆广州深圳杭州南京武汉成都西安青岛大连厦门苏州宁波长沙郑州济南沈阳",
    ],
)
def test_lists_of_keywords_and_names_are_dropped(text: str) -> None:
    assert verdict(StopWords(), text) == "few-stop-words"


def test_the_share_of_words_is_on_the_edge_of_the_threshold() -> None:
    text = "the committee discussed several proposals concerning libraries beside rivers yesterday"
    assert verdict(StopWords(least=0.1), text) is None
    assert verdict(StopWords(least=0.11), text) == "few-stop-words"


def test_foreign_words_inside_chinese_are_not_counted() -> None:
    assert verdict(StopWords(least=0.8), "我们的这是一个" + "，Python pandas numpy" * 2) is None


def test_a_language_without_a_list_is_kept() -> None:
    assert verdict(StopWords(least=1.0), KOREAN) is None
    assert verdict(StopWords(), "2026-11-24") is None


def test_every_listed_word_is_one_word_and_listed_once() -> None:
    assert len(LISTS) >= 12
    for words in LISTS.values():
        assert len(set(words.split())) == len(words.split())
        assert all(len(words_of(word).hashes) == 1 for word in words.split())
