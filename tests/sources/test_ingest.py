"""Ingest: every record of a source is kept or quarantined, and too many lost ones fail the run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.documents import Documents
from pipeline.errors import BudgetExceeded, RequestError, RunError
from pipeline.sources import ingest, listing
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from pipeline.storage import Store
from tests.sources.containers import write

Build = Callable[[Ingest], Documents]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def test_what_is_read_is_kept_or_quarantined_with_its_place(folder: Path, build: Build) -> None:
    (folder / "a.jsonl").write_text(lines({"text": "one", "n": 1}, {"text": 2}, {"text": "three"}) + "{\n")
    (folder / "b.txt").write_text("four")
    (folder / "c.pdf").write_text("%PDF")
    artifact = build(Ingest(source=Files.at("data")))
    documents = [document for shard in artifact.shards for document in artifact.read(shard)]
    assert [(document.text, document.origin, document.meta, document.source) for document in documents] == [
        ("one", "data/a.jsonl#1", '{"n": 1}', "data"),
        ("three", "data/a.jsonl#3", "{}", "data"),
        ("four", "data/b.txt#0", "{}", "data"),
    ]
    assert artifact.dropped().select(["origin", "reason"]).to_pylist() == [
        {"origin": "data/a.jsonl#2", "reason": "text-not-a-string"},
        {"origin": "data/a.jsonl#4", "reason": "malformed-json"},
    ]
    assert artifact.facts == {
        "read": 5,
        "kept": 3,
        "dropped": {"malformed-json": 1, "text-not-a-string": 1},
        "sources": {"data": {"kept": 3, "characters": 12, "dropped": 2}},
        "examples": {"malformed-json": "data/a.jsonl#4", "text-not-a-string": "data/a.jsonl#2"},
        "left_out": {".pdf": 1},
    }


def test_the_snapshot_of_the_source_is_in_every_document(folder: Path, build: Build) -> None:
    (folder / "a.txt").write_text("text")
    source = Files.at("data")
    artifact = build(Ingest(source=source))
    assert [document.snapshot for document in artifact.read(artifact.shards[0])] == [source.snapshot]


def test_too_many_lost_records_fail_and_leave_nothing(folder: Path, build: Build, store: Store) -> None:
    (folder / "a.jsonl").write_text(lines({"text": "one"}, {"body": "x"}, {"body": "x"}, {"text": 1}))
    step = Ingest(source=Files.at("data"))
    message = (
        r"data: 3 of 4 records cannot be used, and loss_budget is 0.5: 2 no-text \(as data/a.jsonl#2\), "
        r"1 text-not-a-string \(as data/a.jsonl#4\); name the field that holds the text as text_field, or raise loss_budget"
    )
    with pytest.raises(BudgetExceeded, match=message):
        build(step)
    assert not [entry.path for entry in store.list(step.address) if entry.path.endswith("manifest.json")]
    assert build(Ingest(source=Files.at("data"), loss_budget=0.75)).facts["kept"] == 1


def test_a_source_without_a_record_fails(folder: Path, build: Build) -> None:
    (folder / "a.jsonl").write_text("\n\n")
    with pytest.raises(RunError, match="data holds no records; see that it is the right place"):
        build(Ingest(source=Files.at("data")))


@pytest.mark.parametrize("budget", [-0.1, 1.5, float("nan")])
def test_a_budget_is_a_share(budget: float, folder: Path) -> None:
    (folder / "a.txt").write_text("text")
    with pytest.raises(RequestError, match="give a share from 0 to 1"):
        Ingest(source=Files.at("data"), loss_budget=budget)


def test_a_large_source_is_cut_into_shards_and_ledgers(folder: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SHARD_CHARACTERS", 1000)
    monkeypatch.setattr(ingest, "HELD_DROPS", 3)
    (folder / "a.jsonl").write_text(lines(*({"text": f"{number:0100}" if number % 5 else number} for number in range(100))))
    artifact = build(Ingest(source=Files.at("data")))
    assert [shard.rows for shard in artifact.shards] == [10] * 8
    assert [entry.rows for entry in artifact.files("dropped")] == [3] * 6 + [2]
    documents = [document for shard in artifact.shards for document in artifact.read(shard)]
    assert [document.text for document in documents] == [f"{number:0100}" for number in range(100) if number % 5]
    assert artifact.dropped().num_rows == artifact.facts["dropped"]["text-not-a-string"] == 20


def test_how_files_share_units_is_no_part_of_the_documents(folder: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(folder / f"{number}.jsonl.gz", [{"text": f"{number}/{line}"} for line in range(3)])
    rows = []
    for size, budget in ((1, 0.5), (1 << 20, 0.6)):
        monkeypatch.setattr(listing, "UNIT_BYTES", size)
        artifact = build(Ingest(source=Files.at("data"), loss_budget=budget))
        rows.append([document for shard in artifact.shards for document in artifact.read(shard)])
    assert rows[0] == rows[1]


def test_a_wrong_field_is_told_before_anything_is_read(folder: Path, build: Build, store: Store) -> None:
    write(folder / "a.csv", [{"body": "x"}])
    with pytest.raises(RequestError, match=r"data/a\.csv has no field 'text', only body"):
        build(Ingest(source=Files.at("data")))
    assert list(store.list("")) == []
