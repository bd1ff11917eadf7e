"""Documents into token shards."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from pipeline.errors import RequestError
from pipeline.storage import Store
from pipeline.tokens import shards as shard_format
from pipeline.tokens import tokenize
from pipeline.tokens.encoder import Compared, Encoded, Encoders, Fast, Reference, open_encoders
from pipeline.tokens.shards import TRAIN, VALIDATION, TokenShards, shard_batch, shard_schema
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import END_OF_TEXT, ExistingTokenizer, TrainTokenizer
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import Literal

Build = Callable[[Any], Any]
SPLIT = Split(fraction=0.25)
TEXTS = [f"Document {number} says: {'lazy dog ' * number}{END_OF_TEXT} 中文 e\u0301\n" for number in range(40)]
ROWS = tuple((("english", "中文", "code")[number % 3], text) for number, text in enumerate(TEXTS))
DOCUMENTS = Literal(shards=(ROWS[:20], ROWS[20:], ()))
TOKENIZER = TrainTokenizer(documents=DOCUMENTS, vocab_size=280, split=SPLIT)
TOKENIZE = Tokenize(documents=DOCUMENTS, tokenizer=TOKENIZER, split=SPLIT)


def rows(tokens: TokenShards, kind: str) -> list[dict[str, Any]]:
    return [row for batch in tokens.batches(kind) for row in batch.to_pylist()]


def test_every_document_is_one_row_of_the_kind_that_its_id_says(build: Build, store: Store) -> None:
    tokens = build(TOKENIZE)
    documents = open_artifact(store, DOCUMENTS)
    read = [document for shard in documents.shards for document in documents.read(shard)]
    for kind in (TRAIN, VALIDATION):
        expected = {(document.id, document.source) for document in read if SPLIT.held_out(document.id) == (kind == VALIDATION)}
        found = [(row["id"], row["source"]) for row in rows(tokens, kind)]
        assert len(found) == len(expected) > 0
        assert set(found) == expected


def test_the_tokens_of_a_row_decode_to_the_text_without_any_special_id(build: Build, store: Store) -> None:
    tokens, files = build(TOKENIZE), open_artifact(store, TOKENIZER)
    tokenizer = Tokenizer.from_file(str(files.path / "tokenizer.json"))
    decoded = []
    for row in rows(tokens, TRAIN) + rows(tokens, VALIDATION):
        assert tokens.end_of_text not in row["tokens"]
        decoded.append(tokenizer.decode(row["tokens"], skip_special_tokens=False))
    assert sorted(decoded) == sorted(TEXTS)


def test_the_facts_are_the_counts_of_the_rows(build: Build, store: Store) -> None:
    tokens = build(TOKENIZE)
    facts = tokens.facts
    documents = open_artifact(store, DOCUMENTS)
    sizes = {document.id: len(document.text.encode()) for shard in documents.shards for document in documents.read(shard)}
    for kind in (TRAIN, VALIDATION):
        found = rows(tokens, kind)
        assert facts["documents"][kind] == len(found) == sum(entry.rows for entry in tokens.files(kind))
        assert facts["tokens"][kind] == sum(len(row["tokens"]) for row in found)
        assert facts["bytes"][kind] == sum(sizes[row["id"]] for row in found)
    trained = rows(tokens, TRAIN)
    assert facts["sources"] == {
        source: {
            "documents": sum(row["source"] == source for row in trained),
            "tokens": sum(len(row["tokens"]) for row in trained if row["source"] == source),
        }
        for source in ("code", "english", "中文")
    }
    assert (facts["read"], facts["kept"], facts["vocabulary"]) == (len(TEXTS), len(TEXTS), 280)


def test_a_record_batch_holds_one_source_and_keeps_the_order_of_its_documents(build: Build, store: Store) -> None:
    tokens = build(TOKENIZE)
    place_of = {text: place for place, text in enumerate(TEXTS)}
    tokenizer = Tokenizer.from_file(str(open_artifact(store, TOKENIZER).path / "tokenizer.json"))
    for batch in tokens.batches(TRAIN):
        assert len(set(batch.column("source").to_pylist())) == 1
        places = [place_of[tokenizer.decode(ids, skip_special_tokens=False)] for ids in batch.column("tokens").to_pylist()]
        assert places == sorted(places)


def test_a_shard_of_many_record_batches_holds_the_same_rows(build: Build, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(TOKENIZE)
    expected = [sorted(map(str, rows(whole, kind))) for kind in (TRAIN, VALIDATION)]
    monkeypatch.setattr(shard_format, "WAITING_TOKENS", 50)
    monkeypatch.setattr("pipeline.documents.BATCH_BYTES", 200)
    again = Literal(shards=(ROWS[:20], ROWS[20:], (), ()))
    tokens = build(Tokenize(documents=again, tokenizer=TOKENIZER, split=SPLIT))
    assert len(list(tokens.batches(TRAIN))) > len(list(whole.batches(TRAIN)))
    assert [sorted(map(str, rows(tokens, kind))) for kind in (TRAIN, VALIDATION)] == expected


@pytest.mark.parametrize(("vocab_size", "kind"), [(65_536, pa.uint16()), (65_537, pa.uint32())])
def test_ids_are_kept_in_the_narrowest_type_that_holds_the_vocabulary(vocab_size: int, kind: pa.DataType) -> None:
    encoded = Encoded(np.array([0, vocab_size - 1], np.uint32), np.array([0, 1, 2], np.int64))
    batch = shard_batch(pa.array(["a", "b"]), encoded, pa.array(["s", "s"]), vocab_size)
    assert shard_schema(vocab_size).field("tokens").type == pa.list_(kind)
    assert batch.column("tokens").to_pylist() == [[0], [vocab_size - 1]]


def test_shards_open_in_pyarrow_and_datasets_without_our_code(build: Build, tmp_path: Path) -> None:
    from datasets import load_dataset

    tokens = build(TOKENIZE)
    entry = tokens.files(TRAIN)[0]
    place = tokens.local(entry)
    table = pa.ipc.open_file(place).read_all()
    table.validate(full=True)
    opened = load_dataset("arrow", data_files=str(place), split="train", cache_dir=str(tmp_path / "cache"))
    assert opened[:]["id"] == table["id"].to_pylist()
    assert opened[:]["tokens"] == table["tokens"].to_pylist()


def test_mapping_a_shard_copies_nothing(build: Build) -> None:
    batch = next(build(TOKENIZE).batches(TRAIN))
    before = pa.total_allocated_bytes()
    values = batch.column("tokens").values.to_numpy()
    assert len(values)
    assert pa.total_allocated_bytes() == before
    assert not values.flags.owndata


def delete(store: Store, manifest: Manifest) -> None:
    """Have a step built again, with all its units."""
    store.delete(f"{manifest.address}/manifest.json")
    for entry in list(store.list("units")):
        store.delete(entry.path)


def test_where_the_fast_encoder_disagrees_the_reference_encodes_the_shard(
    build: Build, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = build(TOKENIZE).manifest
    delete(store, expected)
    wrong = build(TrainTokenizer(documents=DOCUMENTS, vocab_size=262, split=SPLIT)).path / "tokenizer.json"

    def disagreeing(tokenizer_json: Path) -> Encoders:
        reference = open_encoders(tokenizer_json).reference
        return Encoders(reference, Compared(Fast(Reference(wrong)), reference))

    monkeypatch.setattr(tokenize, "open_encoders", disagreeing)
    with caplog.at_level(logging.WARNING):
        assert build(TOKENIZE).manifest.content == expected.content
    assert "the reference encodes documents/00000" in caplog.text


def test_without_a_fast_encoder_the_bytes_are_the_same(build: Build, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = build(TOKENIZE).manifest
    delete(store, expected)
    monkeypatch.setattr(tokenize, "open_encoders", lambda place: Encoders(open_encoders(place).reference, None))
    assert build(TOKENIZE).manifest.content == expected.content


def test_nothing_held_out_leaves_no_validation_shard(build: Build) -> None:
    split = Split(fraction=0.0)
    tokenizer = TrainTokenizer(documents=DOCUMENTS, vocab_size=300, split=split)
    tokens = build(Tokenize(documents=DOCUMENTS, tokenizer=tokenizer, split=split))
    assert tokens.files(VALIDATION) == ()
    assert list(tokens.batches(VALIDATION)) == []
    assert tokens.facts["documents"] == {"train": len(TEXTS), "validation": 0}


def test_a_tokenizer_that_saw_what_is_held_out_is_refused() -> None:
    with pytest.raises(RequestError, match="on documents that would be held out: give both the same split"):
        Tokenize(documents=DOCUMENTS, tokenizer=TOKENIZER, split=Split(fraction=0.1))


def test_an_existing_tokenizer_encodes_with_its_own_end_of_text(build: Build, shared_data: Path) -> None:
    gpt2 = ExistingTokenizer.at(str(shared_data / "tokenizers" / "gpt2.tokenizer.json"))
    tokens = build(Tokenize(documents=DOCUMENTS, tokenizer=gpt2, split=SPLIT))
    assert (tokens.vocab_size, tokens.end_of_text) == (50257, 50256)
    assert all(50256 not in row["tokens"] for row in rows(tokens, TRAIN))
