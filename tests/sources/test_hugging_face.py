"""Datasets of the Hub: streamed by `datasets` itself, from a Hub on this machine, at the commit that was found."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.sources.base import Source
from pipeline.sources.hugging_face import HuggingFace
from tests.sources.containers import encoded
from tests.sources.hub import COMMIT, hub

RECORDS = [{"text": f"document {number}", "lang": "en"} for number in range(30)]
FILES = {
    "README.md": b"---\nlicense: mit\n---\n",
    "train-0.jsonl": encoded("jsonl", RECORDS[:20]),
    "train-1.jsonl": encoded("jsonl", RECORDS[20:]) + b'{"text": null, "lang": "en"}\n',
}
SCRIPT = """
import json, sys
from dataclasses import replace
from pipeline.errors import RequestError
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at

def refusal(ask):
    try:
        ask()
    except RequestError as problem:
        return str(problem)

source = source_at("hf://datasets/owner/name")
source.check()
records = [[record.origin, getattr(record, "text", None), getattr(record, "meta", None)]
           for partition in source.partitions() for record in source.read(partition)]
print(json.dumps({
    "snapshot": source.snapshot, "name": source.name, "records": records, "recipe": Ingest(source=source).recipe["source"],
    "pinned": source_at(f"hf://datasets/owner/name@{source.snapshot}") == source == source_at("hf://datasets/owner/name@main"),
    "no dataset": refusal(lambda: source_at("hf://datasets/owner/nothing")),
    "no revision": refusal(lambda: source_at("hf://datasets/owner/name@nothing")),
    "no split": refusal(lambda: replace(source, split="nothing").check()),
    "no config": refusal(lambda: replace(source, config="nothing").check()),
    "no field": refusal(lambda: replace(source, text_field="body").check()),
}))
"""
OFFLINE = """
from pipeline.errors import RequestError
from pipeline.sources.locations import source_at
for ask in (lambda: source_at("hf://datasets/owner/name"), lambda: source_at("hf://datasets/owner/name@" + "a" * 40).check()):
    try:
        ask()
    except RequestError as problem:
        print(problem)
"""


def example(folder: Path) -> Source:
    """For the contract of sources: `datasets` reads a folder as it reads the Hub; `folder` is the working folder."""
    (folder / "dataset").mkdir(exist_ok=True)
    for name, data in FILES.items():
        (folder / "dataset" / name).write_bytes(data)
    return HuggingFace(dataset="./dataset", snapshot=COMMIT)


def told(script: str, endpoint: str, folder: Path) -> str:
    """What a script prints in a process that takes `endpoint` for the Hub."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    here = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", script], env={**environment, **here}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with hub("owner/name", FILES) as endpoint:
        found: dict[str, Any] = json.loads(told(SCRIPT, endpoint, tmp_path_factory.mktemp("hub")).splitlines()[-1])
    return found


def test_a_dataset_is_streamed_with_its_places_and_its_bad_records(answer: dict[str, Any]) -> None:
    texts = [(f"hf://datasets/owner/name/train/{n // 20:05d}#{n % 20}", f"document {n}", '{"lang": "en"}') for n in range(30)]
    assert [tuple(record) for record in answer["records"]] == [*texts, ("hf://datasets/owner/name/train/00001#10", None, None)]


def test_the_commit_is_the_snapshot_whatever_names_it(answer: dict[str, Any]) -> None:
    assert answer["snapshot"] == COMMIT
    assert answer["pinned"]
    assert answer["recipe"]["snapshot"] == COMMIT


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("no dataset", ["cannot read hf://datasets/owner/nothing: ", "Not Found", "check name"]),
        ("no revision", ["cannot read hf://datasets/owner/name: ", "Revision Not Found", "check name, revision"]),
        ("no split", ["nothing", "train"]),
        ("no config", ["nothing", "default"]),
        ("no field", ["has no field 'body', only text, lang: name the one with the text as text_field"]),
    ],
)
def test_a_wrong_dataset_is_a_wrong_request(wrong: str, words: list[str], answer: dict[str, Any]) -> None:
    assert all(word in answer[wrong] for word in words), answer[wrong]
    assert "\n" not in answer[wrong]


def test_a_path_of_the_same_name_is_not_taken_for_the_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="owner/name is also a path here"):
        HuggingFace.at("hf://datasets/owner/name")


def test_without_a_network_the_request_is_refused_at_once(tmp_path: Path) -> None:
    lines = told(OFFLINE, "http://127.0.0.1:9", tmp_path).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("cannot read hf://datasets/owner/name: ") and "network" in line for line in lines)
