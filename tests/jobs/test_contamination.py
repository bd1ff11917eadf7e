"""Contamination as a person asks for it: by the command, of a model that was trained here, and of one that was fine-tuned on top."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from pipeline.documents import Documents
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TRAIN, TokenShards
from pipeline.workflow.artifact import manifests
from tests.evaluate.files import written
from tests.jobs.running import job

ALONE = ("--cluster", "none", "--json")
ASKED = ("--tasks", "bench.jsonl", "--contamination")
ASKS = "Where does the {0} sleep in winter, why does the {0} sing in summer, and what does the {0} dream of?"
NAMES = [f"{first} {second}" for first in ("fox", "heron", "goat", "carp", "mule") for second in ("one", "two", "three", "four")]
IN_TEXT, IN_LESSONS = range(8), range(8, 14)


class Made(NamedTuple):
    """A folder in which a model was trained, what that left, and its root."""

    folder: Path
    checkpoint: str
    store: Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("contamination")
    questions = [{"query": ASKS.format(name), "choices": ["this one", "that one"], "gold": 0} for name in NAMES]
    written(folder, [{"task": "multiple-choice", "name": "bench", "unconditional": None}, *questions], "bench.jsonl")
    (folder / "text").mkdir()
    for number in range(40):
        planted = ASKS.format(NAMES[number]) if number in IN_TEXT else ""
        (folder / "text" / f"{number}.txt").write_text(f"The old fox number {number} jumped and sang of {number * 7} songs. {planted}")
    small = ("--token-budget", "1024", "--vocab-size", "300", "--context", "32")
    assert job("pretrain", "tiny", "--sources", "text", *small, *ALONE, folder=folder).result
    store = open_store(str(folder / "runs"))
    (checkpoint,) = manifests(store, "pretrain")
    return Made(folder, checkpoint.address, store)


def dirty(store: Store) -> list[set[int]]:
    """The numbers of the dirty examples in each artifact of a root, the fewest first."""
    found = []
    for manifest in manifests(store, "contaminated"):
        (entry,) = (entry for entry in manifest.files if entry.kind == "overlaps")
        rows = pq.read_table(Path(store.url, entry.place(manifest.address))).to_pylist()
        found.append({row["number"] for row in rows if row["share"]})
    return sorted(found, key=len)


def trained_on(store: Store) -> set[int]:
    """The examples that stand in documents which were not held out."""
    (tokens,) = manifests(store, "tokenize")
    ids = {document for batch in TokenShards(store, tokens).batches(TRAIN) for document in batch["id"].to_pylist()}
    (ingested,) = manifests(store, "ingest")
    documents = Documents(store, ingested)
    texts = [document.text for shard in documents.shards for document in documents.read(shard) if document.id in ids]
    return {number for number, name in enumerate(NAMES) if any(ASKS.format(name) in text for text in texts)}


@pytest.mark.slow
def test_exactly_what_was_planted_and_trained_on_is_dirty_and_scored_apart(made: Made) -> None:
    plain = job("evaluate", "--tasks", "bench.jsonl", *ALONE, folder=made.folder).result
    result = job("evaluate", *ASKED, *ALONE, folder=made.folder).result
    assert result["scores"] == plain["scores"]
    assert {step.split("/")[0] for step in result["built"]} == {"contaminated", "clean-scores"}
    expected = trained_on(made.store)
    assert 0 < len(expected) <= len(IN_TEXT)
    assert dirty(made.store)[0] == expected
    groups = result["contamination"]["bench"]
    assert {group: metrics["n"] for group, metrics in groups.items()} == {
        "clean": len(NAMES) - len(expected),
        "dirty": len(expected),
        "too_short": 0,
    }
    assert groups["clean"]["accuracy_low"] <= groups["clean"]["accuracy"] <= groups["clean"]["accuracy_high"]
    shown = job("evaluate", *ASKED, "--cluster", "none", folder=made.folder).stdout
    assert f"dirty ({len(expected)})" in shown


@pytest.mark.slow
def test_a_fine_tuned_model_was_taught_its_lessons_and_what_its_ancestor_was_taught(made: Made) -> None:
    lessons = [{"instruction": "Say it.", "output": ASKS.format(NAMES[number])} for number in IN_LESSONS]
    (made.folder / "lessons.jsonl").write_text("".join(json.dumps(lesson) + "\n" for lesson in lessons))
    small = ("--validation", "lessons.jsonl", "--batch", "2", "--epochs", "1", "--context", "32")
    tuned = job("finetune", "instructions", "--checkpoint", made.checkpoint, "--train", "lessons.jsonl", *small, *ALONE, folder=made.folder)
    chosen = ("--checkpoints", made.checkpoint, tuned.result["artifact"])
    result = job("evaluate", *chosen, *ASKED, *ALONE, folder=made.folder).result
    before, after = result["contaminations"].values()
    assert before == result["contamination"]
    assert tuned.result["artifact"] in (made.folder / result["report"]).read_text().replace("<wbr>", "")
    assert dirty(made.store) == [trained_on(made.store), trained_on(made.store) | set(IN_LESSONS)]
    assert after["bench"]["dirty"]["n"] == before["bench"]["dirty"]["n"] + len(IN_LESSONS)


@pytest.mark.slow
def test_what_cannot_be_looked_for_is_refused_with_what_to_do(made: Made) -> None:
    (model,) = Path(made.store.url, made.checkpoint, "model").iterdir()
    for arguments, words in (
        (("--contamination",), ["perplexity has none", "--tasks"]),
        (("--checkpoint", str(model), *ASKED), ["is unknown", "trained here"]),
    ):
        refused = job("evaluate", *arguments, "--cluster", "none", folder=made.folder)
        assert (refused.code, refused.stdout) == (2, "")
        assert all(word in refused.error for word in words)
