"""A tokenizer of single characters, and the ends of texts that are held out of it."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.errors import RequestError
from pipeline.evaluate.taught import Corpus
from pipeline.storage import Store
from pipeline.tokens.characters import character_tokenizer
from pipeline.tokens.shards import TRAIN, VALIDATION, TokenShards
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import END_OF_TEXT, TrainTokenizer
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import literal

Build = Callable[[Any], Any]
ENDS = Split(fraction=0.25, of="ends")
TEXTS = ("to be, or not to be", "武德军节度判官司欧陽炯撰", "x", f"a line{END_OF_TEXT}\n")
DOCUMENTS = literal(TEXTS, shards=2)
TOKENIZER = TrainTokenizer(documents=DOCUMENTS, vocab_size=1000, split=ENDS, kind="characters")
TOKENIZE = Tokenize(documents=DOCUMENTS, tokenizer=TOKENIZER, split=ENDS)


def beginning(text: str) -> str:
    return text[: max(1, len(text) * 3 // 4)]


def tokenizer_of(form: bytes) -> Any:
    tokenizer = Tokenizer.from_str(form.decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.fixture(scope="module")
def few() -> Any:
    """What knows three characters, the most frequent ones."""
    return tokenizer_of(character_tokenizer(Counter("aaabbb中中中x"), 256 + 1 + 3, END_OF_TEXT))


def test_a_character_that_is_known_is_one_token_and_another_one_its_bytes(few: Any) -> None:
    assert few.encode("ab中a").tokens == ["a", "b", "中", "a"]
    assert few.encode("xé").tokens == ["<0x78>", "<0xC3>", "<0xA9>"]
    assert few.get_vocab_size() == 260


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(["a", "中", END_OF_TEXT, "<0x41>", "▁"])).map("".join))
def test_every_text_decodes_to_itself(few: Any, text: str) -> None:
    assert few.decode(few.encode(text).ids, skip_special_tokens=False) == text


def test_the_tokenizer_is_made_of_the_beginnings_alone(build: Build) -> None:
    made = build(TOKENIZER)
    known = set("".join(map(beginning, TEXTS)))
    vocabulary = Tokenizer.from_file(str(made.path / "tokenizer.json")).get_vocab()
    assert {token for token in vocabulary if len(token) == 1} == known
    assert made.vocab_size == 257 + len(known)
    assert (made.facts["documents"], made.facts["bytes"]) == (4, sum(len(beginning(text).encode()) for text in TEXTS))


def test_transformers_opens_it_and_gives_its_ids(build: Build) -> None:
    from transformers import AutoTokenizer

    made = build(TOKENIZER)
    opened = AutoTokenizer.from_pretrained(str(made.path))
    text = "to be 武德 or é\n \n  x ."
    assert opened(text)["input_ids"] == tokenizer_of((made.path / "tokenizer.json").read_bytes()).encode(text).ids
    assert opened.decode(opened(text)["input_ids"]) == text
    assert (opened.eos_token, opened.eos_token_id, len(opened)) == (END_OF_TEXT, made.end_of_text, made.vocab_size)


def rows(tokens: TokenShards, tokenizer: Any, kind: str) -> dict[str, str]:
    """The text of each row by its document's id."""
    found = [row for batch in tokens.batches(kind) for row in batch.to_pylist()]
    return {row["id"]: tokenizer.decode(row["tokens"], skip_special_tokens=False) for row in found}


def test_each_document_gives_its_beginning_to_training_and_its_end_to_validation(build: Build, store: Store) -> None:
    tokens = build(TOKENIZE)
    tokenizer = Tokenizer.from_file(str(open_artifact(store, TOKENIZER).path / "tokenizer.json"))
    trained, held_out = (rows(tokens, tokenizer, kind) for kind in (TRAIN, VALIDATION))
    assert sorted(trained.values()) == sorted(map(beginning, TEXTS))
    assert sorted(text + held_out.get(name, "") for name, text in trained.items()) == sorted(TEXTS)
    assert "x" in trained.values()


def test_a_document_in_two_parts_is_counted_once(build: Build) -> None:
    facts = build(TOKENIZE).facts
    assert (facts["read"], facts["kept"], facts["documents"]) == (4, 4, {TRAIN: 4, VALIDATION: 3})
    assert sum(facts["bytes"].values()) == sum(len(text.encode()) for text in TEXTS)


def test_what_a_model_was_taught_of_such_a_corpus_is_its_beginnings(store: Store, build: Build) -> None:
    build(DOCUMENTS)

    opens: Any = SimpleNamespace(open=partial(open_artifact, store))
    corpus = Corpus(DOCUMENTS, ENDS)
    found = [text for shard in corpus.shards(opens) for texts in corpus.texts(opens, shard) for text in texts.texts.to_pylist()]
    assert sorted(found) == sorted(map(beginning, TEXTS))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Split(fraction=1.0, of="ends"), r"^split\.fraction is 1, and the end of a document follows"),
        (lambda: Split(of="middles"), r"^split\.of is 'middles': use documents or ends"),  # type: ignore[arg-type]
        (lambda: TrainTokenizer(documents=DOCUMENTS, vocab_size=300, kind="words"), "^kind is 'words': use bpe or characters"),  # type: ignore[arg-type]
    ],
)
def test_what_means_nothing_is_refused_by_name(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        make()


def test_what_was_there_before_keeps_its_address() -> None:
    plain = TrainTokenizer(documents=DOCUMENTS, vocab_size=1000)
    assert TrainTokenizer(documents=DOCUMENTS, vocab_size=1000, kind="bpe", split=Split(of="documents")).address == plain.address
    assert {TOKENIZER.address, TrainTokenizer(documents=DOCUMENTS, vocab_size=1000, kind="characters").address}.isdisjoint({plain.address})
    assert "kind" not in plain.recipe
    assert "of" not in plain.recipe["split"]
