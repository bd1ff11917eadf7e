"""Tokenizers: trained on the corpus, or existing ones."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from pipeline.documents import document_id
from pipeline.errors import RequestError, RunError
from pipeline.tokens.split import Split
from pipeline.tokens.tokenizer import END_OF_TEXT, ExistingTokenizer, TokenizerFiles, TrainTokenizer
from tests.tokens.corpus import literal

Build = Callable[[Any], Any]
TEXTS = ["The quick brown fox jumps over the lazy dog.", "武德军节度判官司欧陽炯撰，镂玉雕琼。", "def f(x):\n    return x + 1234\n"] * 4
NONE_HELD_OUT = Split(fraction=0.0)


@pytest.fixture
def trained(build: Build) -> TokenizerFiles:
    return build(TrainTokenizer(documents=literal(TEXTS), vocab_size=300, split=NONE_HELD_OUT))


def test_a_trained_tokenizer_says_what_it_is_and_what_it_saw(trained: TokenizerFiles) -> None:
    assert trained.vocab_size == 300
    assert Tokenizer.from_file(str(trained.path / "tokenizer.json")).token_to_id(END_OF_TEXT) == trained.end_of_text
    assert trained.facts["documents"] == len(TEXTS)
    assert trained.facts["bytes"] == sum(len(text.encode()) for text in TEXTS)


def test_a_small_corpus_gives_no_more_tokens_than_it_has_merges(build: Build) -> None:
    small = build(TrainTokenizer(documents=literal(["abc abc"]), vocab_size=1000, split=NONE_HELD_OUT))
    assert small.vocab_size == 256 + 1 + len(["ab", "abc", "Ġabc"])


def test_the_order_of_documents_and_shards_does_not_change_the_tokenizer(build: Build) -> None:
    one = build(TrainTokenizer(documents=literal(TEXTS, 1), vocab_size=400, split=NONE_HELD_OUT))
    other = build(TrainTokenizer(documents=literal(TEXTS[::-1], 3), vocab_size=400, split=NONE_HELD_OUT))
    assert one.manifest.content == other.manifest.content


TRAIN_ONCE = """
import sys
from pipeline.tokens.sample import Sample
from pipeline.tokens.tokenizer import train_bpe
texts = [f"{word} {word[::-1]} 中文{number}" for number, word in enumerate(dir(str) * 20)]
sys.stdout.buffer.write(train_bpe(Sample(1 << 20, heap=[(0, str(n), t.encode()) for n, t in enumerate(texts)]), 600))
"""


def test_training_gives_the_same_bytes_with_any_number_of_threads() -> None:
    found = set()
    for threads in ("1", "2", "5"):
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        run = subprocess.run([sys.executable, "-c", TRAIN_ONCE], env=environment, capture_output=True, check=True)
        found.add(run.stdout)
    assert len(found) == 1
    assert len(json.loads(found.pop())["model"]["vocab"]) == 600


def test_the_tokenizer_never_saw_a_held_out_document(build: Build) -> None:
    split = Split(fraction=0.3)
    held_out = [split.held_out(document_id(f"shard-0#{place}", text)) for place, text in enumerate(TEXTS)]
    assert 0 < sum(held_out) < len(TEXTS)
    kept = [text for text, out in zip(TEXTS, held_out, strict=True) if not out]
    with_all = build(TrainTokenizer(documents=literal(TEXTS), vocab_size=400, split=split))
    with_kept = build(TrainTokenizer(documents=literal(kept), vocab_size=400, split=NONE_HELD_OUT))
    assert with_all.manifest.content == with_kept.manifest.content


def test_a_tokenizer_is_trained_on_several_corpora_as_on_one_with_all_documents(build: Build) -> None:
    apart = TrainTokenizer(documents=(literal(TEXTS[:5]), literal(TEXTS[5:], source="there")), vocab_size=400, split=NONE_HELD_OUT)
    together = TrainTokenizer(documents=literal(TEXTS), vocab_size=400, split=NONE_HELD_OUT)
    assert build(apart).manifest.content == build(together).manifest.content


def test_transformers_opens_a_trained_tokenizer_and_gives_its_ids(trained: TokenizerFiles) -> None:
    from transformers import AutoTokenizer

    opened = AutoTokenizer.from_pretrained(str(trained.path))
    plain = Tokenizer.from_file(str(trained.path / "tokenizer.json"))
    text = "".join(TEXTS[:3]) + " , 'S! 2026。\n\n  x"
    assert opened(text)["input_ids"] == plain.encode(text).ids
    assert opened.decode(opened(text)["input_ids"]) == text
    assert (opened.eos_token, opened.eos_token_id, len(opened)) == (END_OF_TEXT, trained.end_of_text, trained.vocab_size)


def test_a_corpus_without_documents_trains_no_tokenizer(build: Build) -> None:
    with pytest.raises(RunError, match="no document to train a tokenizer on in literal/"):
        build(TrainTokenizer(documents=literal([]), vocab_size=400))


@pytest.mark.parametrize(("field", "value"), [("vocab_size", 256), ("vocab_size", 1 << 25), ("sample_bytes", 3), ("documents", ())])
def test_a_wrong_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^{field} is"):
        TrainTokenizer(**{"documents": literal(TEXTS), "vocab_size": 400} | {field: value})


@pytest.fixture
def folder(trained: TokenizerFiles, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "foreign"))


@pytest.mark.parametrize("name", ["", "tokenizer.json"])
def test_an_existing_tokenizer_is_kept_byte_for_byte(build: Build, folder: Path, trained: TokenizerFiles, name: str) -> None:
    kept = build(ExistingTokenizer.at(str(folder / name)))
    assert kept.manifest.content == trained.manifest.content
    assert (kept.vocab_size, kept.end_of_text) == (trained.vocab_size, trained.end_of_text)


def test_a_moved_tokenizer_is_the_same_one_and_a_changed_one_is_not(folder: Path, tmp_path: Path) -> None:
    here = ExistingTokenizer.at(str(folder))
    moved = ExistingTokenizer.at(str(shutil.copytree(folder, tmp_path / "moved")))
    assert here.address == moved.address
    changed = Tokenizer.from_file(str(folder / "tokenizer.json"))
    changed.add_tokens(["another"])
    changed.save(str(folder / "tokenizer.json"))
    assert ExistingTokenizer.at(str(folder)).address != here.address


def test_a_tokenizer_that_changes_before_it_is_read_stops_the_run(build: Build, folder: Path) -> None:
    step = ExistingTokenizer.at(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "a"}))
    with pytest.raises(RunError, match="has changed since the run was asked for"):
        build(step)


def test_named_special_tokens_are_kept_and_code_is_not(build: Build, folder: Path) -> None:
    config = {
        "eos_token": {"content": "a", "__type": "AddedToken"},
        "bos_token": "b",
        "chat_template": "{{ messages }}",
        "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]},
        "tokenizer_class": "Evil",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    kept = build(ExistingTokenizer.at(str(folder)))
    assert json.loads((kept.path / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "a",
        "bos_token": "b",
        "chat_template": "{{ messages }}",
    }


def test_the_token_that_ends_a_text_is_found_by_its_usual_name_or_as_asked(build: Build, folder: Path, trained: TokenizerFiles) -> None:
    (folder / "tokenizer_config.json").unlink()
    assert build(ExistingTokenizer.at(str(folder))).end_of_text == trained.end_of_text
    asked = build(ExistingTokenizer.at(str(folder), end_of_text="x"))
    assert asked.end_of_text == Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("x")


def test_a_tokenizer_without_an_end_of_text_is_refused(folder: Path) -> None:
    place = folder / "tokenizer.json"
    place.write_text(place.read_text().replace(END_OF_TEXT, "<|other|>"))
    with pytest.raises(RequestError, match=r"has no token '<\|endoftext\|>' to end a text: name another as end_of_text"):
        ExistingTokenizer.at(str(folder))
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(RequestError, match="does not say which token ends a text: name it as end_of_text"):
        ExistingTokenizer.at(str(folder))


def test_an_end_of_text_that_plain_text_can_hold_is_refused(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("THE END", special=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(RequestError, match="'THE END' is found in plain text"):
        ExistingTokenizer.at(str(folder), end_of_text="THE END")


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"model": 3}', "\ud800"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    place = tmp_path / "tokenizer.json"
    place.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(RequestError, match=r"is no tokenizer\.json"):
        ExistingTokenizer.at(str(place))


def test_a_configuration_that_is_no_object_is_refused(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("3")
    with pytest.raises(RequestError, match="is not a JSON object"):
        ExistingTokenizer.at(str(folder))


@pytest.mark.parametrize("location", ["/no/such/tokenizer.json", "no such name", "../nowhere/at/all"])
def test_a_location_without_a_tokenizer_is_refused(location: str) -> None:
    with pytest.raises(RequestError, match="there is no tokenizer at"):
        ExistingTokenizer.at(location)


def test_a_name_on_hugging_face_is_found_at_its_revision(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    commit = "1" * 40
    cached = tmp_path / "hub" / "models--someone--model"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    here = ExistingTokenizer.at(str(folder)).digest
    assert ExistingTokenizer.at("someone/model").digest == here
    assert ExistingTokenizer.at(f"someone/model@{commit}").digest == here


def test_the_older_files_of_gpt2_give_its_tokenizer(build: Build, shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "tokenizers" / "encoder.json", tmp_path / "vocab.json")
    shutil.copy(shared_data / "tokenizers" / "vocab.bpe", tmp_path / "merges.txt")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    old = build(ExistingTokenizer.at(str(tmp_path)))
    new = build(ExistingTokenizer.at(str(shared_data / "tokenizers" / "gpt2.tokenizer.json")))
    assert (old.vocab_size, old.end_of_text) == (new.vocab_size, new.end_of_text) == (50257, 50256)
    one, other = (Tokenizer.from_file(str(kept.path / "tokenizer.json")) for kept in (old, new))
    assert one.encode(" ".join(TEXTS)).ids == other.encode(" ".join(TEXTS)).ids


def test_a_folder_without_any_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(RequestError, match=r"holds no tokenizer\.json, and none can be made"):
        ExistingTokenizer.at(str(tmp_path))
