"""Sentences in words as a model reads them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finetune.reader import Reader
from pipeline.finetune.words import Joining, join, read_words
from pipeline.models.llama import Llama
from pipeline.storage import open_store
from pipeline.tokens.split import Split
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.finetune.conftest import Family
from tests.tokens.corpus import literal

CHINESE = "北京大学在北京，上海大学在上海。"


@pytest.fixture(scope="module")
def reader(family: Family) -> Reader:
    """Of a byte-level BPE of English."""
    return Reader(family(Llama(dim=32, depth=2, heads=2)))


@pytest.fixture(scope="module")
def chinese(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Of a byte-level BPE whose tokens have several Chinese characters."""
    store, split = open_store(str(tmp_path_factory.mktemp("chinese"))), Split(fraction=0.1)
    step = TrainTokenizer(documents=literal((CHINESE * 3,) * 8), vocab_size=300, split=split)
    run([step], store, InlineExecutor())
    folder: Path = open_artifact(store, step).path  # type: ignore[attr-defined]
    (folder / "config.json").write_text((family(Llama(dim=32, depth=2, heads=2)) / "config.json").read_text())
    return Reader(folder)


@pytest.mark.parametrize(
    ("words", "joining", "text"),
    [
        (["The", "old", "fox", "."], "by-script", "The old fox ."),
        (["我", "在", "北京", "。"], "by-script", "我在北京。"),
        (["他", "在", "IBM", "工作", "，", "in", "New", "York", "。"], "by-script", "他在IBM工作，in New York。"),
        (["在", "2", "0", "0", "8", "年"], "by-script", "在2008年"),
        (["서울", "대학교"], "by-script", "서울 대학교"),
        (["私", "は", "東京", "に"], "spaces", "私 は 東京 に"),
        (["Don", "au", "dampf"], "nothing", "Donaudampf"),
        (["a", " ", "", "b"], "by-script", "a b"),
    ],
)
def test_words_are_joined_as_their_script_is_written(words: list[str], joining: Joining, text: str) -> None:
    sentence = join(words, joining)
    assert sentence.text == text
    assert [sentence.text[begin:end] for begin, end in sentence.words] == [word.strip() for word in words]


@given(st.lists(st.text(st.characters(max_codepoint=0x24F, categories=["L", "N", "P"]), min_size=1), min_size=1))
def test_tokens_of_words_are_those_of_running_text_and_each_word_has_one_of_its_own(reader: Reader, words: list[str]) -> None:
    ids, firsts = read_words(words, "by-script", reader)
    assert ids == reader.tokenizer(" ".join(words), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert firsts[0] == 0
    assert firsts == sorted(set(firsts))  # type: ignore[type-var]
    for first, after, word in zip(firsts, [*firsts[1:], len(ids)], words, strict=True):
        assert reader.tokenizer.decode(ids[first:after]).strip() == word


def test_where_a_token_has_characters_of_two_words_each_is_encoded_by_itself(chinese: Reader) -> None:
    characters = list("北京大学在北京")
    assert len(chinese.pieces("北京大学在北京").ids) < len(characters)
    ids, firsts = read_words(characters, "by-script", chinese)
    assert None not in firsts
    assert firsts == sorted(set(firsts))  # type: ignore[type-var]
    by_character = chinese.tokenizer(characters, is_split_into_words=True, add_special_tokens=False)
    assert ids == by_character["input_ids"]
    assert firsts == [by_character.word_ids().index(place) for place in range(len(characters))]


def test_chinese_words_that_are_tokens_are_read_as_running_text(chinese: Reader) -> None:
    pieces = chinese.pieces(CHINESE)
    words = [CHINESE[begin:end] for begin, end in dict.fromkeys(pieces.spans)]
    assert max(map(len, words)) > 1
    ids, firsts = read_words(words, "by-script", chinese)
    assert ids == pieces.ids
    assert firsts == [pieces.spans.index(span) for span in dict.fromkeys(pieces.spans)]


def test_a_word_of_nothing_has_no_token(reader: Reader) -> None:
    ids, firsts = read_words(["The", " ", "fox"], "by-script", reader)
    assert ids == reader.pieces("The fox").ids
    assert firsts[1] is None
    assert None not in (firsts[0], firsts[2])
