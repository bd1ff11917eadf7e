"""Which language a text is in, and that the compiled model is the library's."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.filters import language
from pipeline.filters.language import LANGUAGES, PART_OF, Language, identify
from pipeline.filters.scripts import SCRIPTS
from tests.filters.test_alphanumeric import JAPANESE, KOREAN, THAI
from tests.filters.texts import CHINESE, ENGLISH, verdict

GERMAN = "Der Ausschuss trat am Donnerstag zusammen, um über die Vorschläge zu beraten, die im Sommer eingegangen waren."
FRENCH = "Le comité s'est réuni jeudi pour examiner les propositions que les membres avaient envoyées pendant l'été."
ARABIC = "اجتمعت اللجنة يوم الخميس للنظر في المقترحات التي أرسلها الأعضاء خلال فصل الصيف"
RUSSIAN = "Комитет собрался в четверг, чтобы рассмотреть предложения, которые участники прислали летом."
TRADITIONAL = "委員會在星期四開會，討論成員們夏天寄來的提案。其中大部分涉及河邊的舊圖書館。"
CLASSICAL = "菩萨蛮\n小山重叠金明灭，鬓云欲度香腮雪。\n懒起画蛾眉，弄妆梳洗迟。"
EXAMPLES = {
    "en": ENGLISH, "zh": CHINESE, "ja": JAPANESE, "ko": KOREAN, "th": THAI, "de": GERMAN, "fr": FRENCH, "ar": ARABIC, "ru": RUSSIAN,
}  # fmt: skip


@pytest.fixture(scope="module")
def library() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@pytest.mark.parametrize(("code", "text"), EXAMPLES.items())
def test_a_few_sentences_are_told_for_what_they_are(code: str, text: str) -> None:
    guess = identify(text)
    assert guess.language == code
    assert guess.probability > 0.8


@pytest.mark.parametrize("text", [TRADITIONAL, CLASSICAL, "你好", "漢字", "这段文字里有 Python 和 pyarrow 这样的词"])
def test_chinese_is_chinese_in_every_form_and_however_short(text: str) -> None:
    assert identify(text).language == "zh"
    assert verdict(Language(keep=("zh",)), text) is None


@pytest.mark.parametrize("text", [CHINESE, CLASSICAL, "汉字", "这个", "开发者"])
def test_simplified_chinese_is_told_from_traditional(text: str) -> None:
    assert identify(text).script == "Hans"
    assert verdict(Language(keep=("zh-Hans",)), text) is None
    assert verdict(Language(keep=("zh-Hant",)), text) == "other-language"


@pytest.mark.parametrize("text", [TRADITIONAL, "漢字", "這個", "開發者", "國破山河在，城春草木深"])
def test_traditional_chinese_is_told_from_simplified(text: str) -> None:
    assert identify(text).script == "Hant"
    assert verdict(Language(keep=("zh-Hant",)), text) is None
    assert verdict(Language(keep=("zh-Hans",)), text) == "other-language"


def test_chinese_that_both_write_is_either() -> None:
    for text in ("你好", "床前明月光", "国 國"):
        assert identify(text).script is None
        assert verdict(Language(keep=("zh-Hans",)), text) is None
        assert verdict(Language(keep=("zh-Hant",)), text) is None
        assert verdict(Language(keep=("zh",)), text) is None


SHORT = {
    "ko": ["안녕", "도서관은 어디에 있습니까"],
    "ja": ["ありがとう", "図書館はどこですか"],
    "ar": ["أين المكتبة؟", "شكرا جزيلا لكم جميعا"],
    "fa": ["کتابخانه کجاست؟ لطفاً به من بگویید"],
    "ru": ["Где находится библиотека?", "Спасибо большое"],
    "uk": ["Де знаходиться бібліотека?"],
    "el": ["Πού είναι η βιβλιοθήκη;"],
    "he": ["איפה הספרייה?"],
    "th": ["ห้องสมุดอยู่ที่ไหน"],
    "ka": ["სად არის ბიბლიოთეკა?"],
    "hy": ["Որտեղ է գրադարանը"],
    "ta": ["நூலகம் எங்கே இருக்கிறது"],
    "bn": ["গ্রন্থাগার কোথায়"],
    "km": ["បណ្ណាល័យនៅឯណា"],
    "my": ["စာကြည့်တိုက် ဘယ်မှာလဲ"],
    "am": ["ቤተ መጻሕፍት የት ነው"],
}


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in SHORT.items() for text in texts])
def test_a_few_words_in_a_script_of_their_own_are_told(code: str, text: str) -> None:
    assert identify(text).language == code


@pytest.mark.parametrize(("languages", "blocks"), SCRIPTS)
def test_the_languages_of_a_script_are_known_and_its_blocks_are_its_own(languages: tuple[str, ...], blocks: Any) -> None:
    assert set(languages) <= LANGUAGES
    others = [block for _, theirs in SCRIPTS for block in theirs if theirs != blocks]
    assert all(last < other or first > end for first, last in blocks for other, end in others)


def test_a_foreign_name_does_not_change_the_language() -> None:
    assert identify(f"{ENGLISH} Москва").language == "en"
    assert identify("Библиотека Oxford University открыта каждый день с утра до вечера").language == "ru"


def test_a_dialect_is_the_language_that_it_is_written_in() -> None:
    assert identify("ازيك عامل ايه النهارده، انا مبسوط اوي").language == "ar"
    with pytest.raises(RequestError, match=r"Language\.keep is \('arz',\)"):
        Language(keep=("arz",))


def test_real_poems_are_in_the_writing_of_their_collection(shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "chinese-poetry.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for place, line in enumerate(file) if place % 50 == 0]
    for collection, other in (("全唐诗", "Hans"), ("宋词", "Hant"), ("元曲", "Hant")):
        poems = [row["text"] for row in rows if row["id"].startswith(collection)]
        assert sum(identify(poem).script == other for poem in poems) <= 0.01 * len(poems)


def test_japanese_is_told_from_chinese_by_its_kana() -> None:
    assert identify("東京は日本の首都です").language == "ja"
    assert identify("コンピュータ").language == "ja"


@pytest.mark.parametrize("text", ["", "  \n", "2026-11-22 10:30", "!!! ... ###"])
def test_what_has_no_letters_is_no_language(text: str) -> None:
    assert identify(text) == language.Guess("zxx", 1.0)
    assert verdict(Language(), text) == "other-language"


def test_only_the_languages_that_are_kept_pass_and_only_if_sure() -> None:
    assert verdict(Language(keep=("en", "de")), GERMAN) is None
    assert verdict(Language(keep=("en", "zh")), GERMAN) == "other-language"
    assert verdict(Language(keep=("zh",), least=0.9), "这是 a b c 的") == "uncertain"


def test_a_long_text_is_judged_by_its_beginning_middle_and_end() -> None:
    first, middle, last = ENGLISH[:100], GERMAN[:100], FRENCH[:100]
    long = first + "." * 10_000 + middle + "." * 10_000 + last
    assert identify(long) == identify(f"{first}\n{middle}\n{last}") != identify(first)


def test_a_code_that_is_not_known_is_refused() -> None:
    for keep in (("english",), ("en", "yue"), ()):
        with pytest.raises(RequestError, match=r"Language\.keep is .*: use codes such as"):
            Language(keep=keep)


def test_the_known_codes_are_those_of_the_model(library: Any) -> None:
    assert set(library.labels) - set(PART_OF) == LANGUAGES


def assert_same(library: Any, text: str) -> None:
    """The library has labels of their own for parts of Chinese and Arabic; else label and probability are equal."""
    ranked = dict(library.rank(text))
    for part, whole in PART_OF.items():
        ranked[whole] += ranked.pop(part)
    guess = language._model().classify(text)
    assert guess.probability == pytest.approx(max(ranked.values()), abs=1e-4)
    assert ranked[guess.language] == pytest.approx(guess.probability, abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=200) | st.lists(st.sampled_from([*EXAMPLES.values(), "ABC DEF ", "\ud800", "1 "]), max_size=3).map("".join))
def test_the_compiled_model_gives_the_probabilities_of_the_library(library: Any, text: str) -> None:
    assert_same(library, text)


def test_the_compiled_model_agrees_with_the_library_on_real_text(library: Any, shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "english-mixed.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["text"][:500] for line, _ in zip(file, range(40), strict=False)]
    for text in [*texts, *(shared_data / "finetune" / "conll2002" / "esp.testa").read_text("latin-1")[:20_000].split("\n\n")]:
        assert_same(library, text)


def test_real_chinese_poems_are_chinese(shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "chinese-poetry.jsonl.gz", "rt") as file:
        poems = [json.loads(line)["text"] for line, _ in zip(file, range(2000), strict=False)]
    others = [poem for poem in poems if identify(poem).language != "zh"]
    assert len(others) <= 0.01 * len(poems)
