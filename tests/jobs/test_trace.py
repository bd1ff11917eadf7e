"""Tracing: from steps to documents, from documents to steps, and from an artifact to its sources."""

from pathlib import Path
from typing import Any

import pytest

from tests.jobs.running import job
from tests.jobs.test_refresh import PAGES, write


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    write(folder / "data", {f"{page}.jsonl": [text] for page, text in enumerate(PAGES)})
    options = [
        "--sources",
        "data",
        "--root",
        "root",
        "--cluster",
        "none",
        "--compute.engine",
        "plain",
    ]  # the same documents held out anywhere
    small = ["--validation", "0.4", "--vocab-size", "300", "--context", "16", "--token-budget", "2048"]
    assert job("pretrain", "tiny", *small, *options, folder=folder).code == 0
    return folder / "root"


def traced(root: Path, *arguments: str) -> dict[str, Any]:
    return job("trace", "--root", str(root), "--json", *arguments).result


def test_a_document_is_seen_in_exactly_the_steps_that_say_so(root: Path) -> None:
    steps = [traced(root, "--step", str(step))["documents"] for step in range(3)]
    checkpoint = traced(root, "--step", "0")["checkpoint"]
    for document in {document for documents in steps for document in documents}:
        found = traced(root, "--document", document)["checkpoints"][checkpoint]
        assert [step for step in found if step < 3] == [step for step in range(3) if document in steps[step]]


def test_an_artifact_leads_back_to_its_sources(root: Path) -> None:
    checkpoint = traced(root, "--step", "0")["checkpoint"]
    rows = traced(root, "--artifact", checkpoint)["ancestry"]
    assert rows[0]["address"] == checkpoint
    assert {row["address"].split("/")[0] for row in rows} == {
        *("pretrain", "tokenize", "train-tokenizer", "deduplicate", "clean", "ingest"),
    }
    assert all(row["there"] for row in rows)


def test_a_step_that_was_not_taken_and_an_artifact_that_is_not_there_are_refused(root: Path) -> None:
    wrong = {
        ("--step", "100000"): "was trained for",
        ("--artifact", "clean/00"): "no artifact clean/00",
        ("--document", "00"): "has the id 00",
    }
    for arguments, words in wrong.items():
        done = job("trace", "--root", str(root), *arguments)
        assert done.code == 2
        assert words in done.error


def test_people_get_lines(root: Path) -> None:
    done = job("trace", "--root", str(root), "--step", "0")
    assert "saw in step 0:" in done.stdout
