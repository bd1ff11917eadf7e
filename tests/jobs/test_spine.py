"""Raw text to an evaluated model, by the command that a user runs, on a small corpus."""

import json
from pathlib import Path

import pytest

from tests.jobs.running import Finished, job

ARGUMENTS = ("tiny", "--cluster", "none", "--compute.engine", "plain", "--sources", "notes.jsonl", "books", "--json")


def write_sources(folder: Path) -> None:
    """Sixty notes, some of them bad, one of them twice; and two books."""
    notes = [
        json.dumps({"text": f"Note {place}: " + " ".join(f"word{place * k % 97}" for k in range(1, 80)), "n": place}) for place in range(60)
    ]
    (folder / "notes.jsonl").write_text("\n".join([*notes, notes[3], "{broken", json.dumps({"text": "too short"})]) + "\n")
    (folder / "books").mkdir()
    (folder / "books" / "one.txt").write_text("\n".join(f"Line {k}: it was the best of times number {k * k}." for k in range(300)))
    (folder / "books" / "zh.txt").write_text("".join(f"第{k}章，天地玄黃，宇宙洪荒之{k * 7}。" for k in range(200)), encoding="gb18030")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spine")
    write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> Finished:
    return job("pretrain", *ARGUMENTS, folder=folder)


def test_every_document_is_accounted_for(first: Finished) -> None:
    documents = first.result["documents"]
    assert documents["read"] == 65
    assert documents["read"] == documents["kept"] + sum(documents["dropped"].values())
    assert documents["dropped"] == {"ingest/malformed-json": 1, "clean/word-count/too-few": 1, "deduplicate/exact-duplicate": 1}


def test_the_result_holds_what_the_contract_says(first: Finished) -> None:
    result = first.result
    assert {
        "built",
        "skipped",
        "seconds",
        "documents",
        "tokens",
        "artifacts",
        "checkpoint",
        "steps",
        "tokens_per_second",
        "report",
    } <= result.keys()
    assert result["loss"]["last"] < result["loss"]["first"]
    assert result["validation"]["bits_per_byte"] > 0
    assert min(result["tokens"]["train"], result["tokens"]["validation"]) > 0
    assert Path(result["report"]).read_text().startswith("<!doctype html>")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_checkpoint_opens_without_our_code(first: Finished) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = first.result["checkpoint"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    logits = model(**tokenizer("it was the best of times", return_tensors="pt")).logits
    assert logits.shape[-1] == model.config.vocab_size
    assert tokenizer.decode(tokenizer("天地玄黃")["input_ids"]) == "天地玄黃"


def test_the_same_command_again_builds_nothing(first: Finished, folder: Path) -> None:
    again = job("pretrain", *ARGUMENTS, folder=folder)
    assert again.result["built"] == []
    assert sorted(again.result["skipped"]) == sorted(first.result["built"])
    assert again.result["validation"] == first.result["validation"]


def test_the_plan_says_why_and_changes_nothing(first: Finished, folder: Path) -> None:
    assert first.code == 0
    before = sorted(str(place) for place in folder.rglob("*"))
    planned = job("pretrain", *ARGUMENTS, "--filters", "word-count:least=9", "--plan", folder=folder).result
    reasons = {row["step"].split("/")[0]: row["reason"] for row in planned["plan"]}
    assert reasons["ingest"] == "built"
    assert reasons["clean"] == "recipe changed: filters[0].least 5 → 9"
    assert reasons["deduplicate"] == "input changed: documents[0], documents[1]"
    assert planned["estimate"]["as_in"] == first.result["artifacts"]["pretrain"]
    assert sorted(str(place) for place in folder.rglob("*")) == before


def test_a_changed_file_is_a_changed_input(first: Finished, folder: Path) -> None:
    assert first.code == 0
    (folder / "books" / "one.txt").write_text("Another book. " * 100)
    rows = job("corpus", "tiny", *ARGUMENTS[3:], "--plan", folder=folder)
    write = [row["reason"] for row in rows.result["plan"] if row["step"].startswith("ingest/") and row["build"]]
    assert len(write) == 1
    assert "snapshot" in write[0]


def test_status_tells_what_is_built(first: Finished, folder: Path) -> None:
    states = job("status", "--json", folder=folder).result["steps"]
    assert {row["state"] for row in states if row["address"] in first.result["built"]} == {"built"}


def test_a_checkpoint_generates_the_same_text_for_the_same_seed(first: Finished, folder: Path) -> None:
    arguments = ("--prompt", "Note", "--sequences", "2", "--sampling.max-new-tokens", "8", "--json")
    once, twice = (job("generate", *arguments, folder=folder).result["samples"] for _ in range(2))
    assert first.code == 0
    assert len(once) == 2
    assert once == twice


def test_a_checkpoint_is_scored_on_other_text(first: Finished, folder: Path) -> None:
    (folder / "other.txt").write_text("It was the worst of times. " * 30)
    scores = job("evaluate", "--sources", "other.txt", "--cluster", "none", "--json", folder=folder).result["scores"]
    assert scores["perplexity"]["n"] == 1
    assert scores["perplexity"]["bits_per_byte"] > 0
    assert first.code == 0
