"""`--drop-budget` ends a run where a stage drops too much of a source, shows what it dropped, and changes nothing of what is built."""

import json
from pathlib import Path

import pytest

from tests.jobs.running import job

PROSE = [f"The committee met on day {place} to talk about the {7 * place} proposals that members had sent in." for place in range(30)]
ARGUMENTS = ("--sources", "good.jsonl", "bad.jsonl", "--filters", "word-count:least=10", "--vocab-size", "300", "--cluster", "none")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, texts in (("good", PROSE[:20]), ("bad", [*PROSE[20:], "一首短诗\x1b[31m", "又一首短诗"])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path


def steps(folder: Path) -> set[str]:
    """The steps that were built in the root."""
    return {place.parent.parent.name for place in folder.glob("runs/*/*/manifest.json")}


@pytest.mark.parametrize("name", ["corpus", "refresh"])
def test_a_run_ends_before_anything_is_made_of_what_is_left_and_shows_examples(name: str, folder: Path) -> None:
    done = job(name, *ARGUMENTS, "--drop-budget", "0.1", folder=folder, COLUMNS="60")
    assert (done.code, done.stdout) == (1, "")
    assert "clean dropped 2 of 12 documents of bad.jsonl, and the drop budget is 0.1: 2 word-count/too-few (as bad.jsonl#11)" in done.error
    shown = done.stderr[done.stderr.index("error:") :].splitlines()[1:]
    assert shown == [
        *("  word-count/too-few bad.jsonl#11", "  │ 一首短诗 [31m"),
        *("  word-count/too-few bad.jsonl#12", "  │ 又一首短诗"),
    ]
    assert steps(folder) == {"ingest", "clean"}
    assert not list(folder.glob("runs/corpora/*/0*.json"))


def test_with_a_greater_budget_a_run_goes_on_to_the_same_corpus_as_without_one(folder: Path) -> None:
    assert job("corpus", *ARGUMENTS, "--drop-budget", "0.1", folder=folder).code == 1
    wide = job("corpus", *ARGUMENTS, "--drop-budget", "0.2", "--json", folder=folder).result
    assert {address.split("/")[0] for address in wide["skipped"]} == {"ingest", "clean"}
    plain = job("corpus", *ARGUMENTS, "--json", folder=folder).result
    assert plain["built"] == []
    assert plain["artifacts"]["tokenize"] == wide["artifacts"]["tokenize"]
    assert plain["documents"] == wide["documents"]


def test_a_budget_is_looked_at_again_where_all_is_built(folder: Path) -> None:
    assert job("corpus", *ARGUMENTS, folder=folder).code == 0
    assert "the drop budget is 0.1" in job("corpus", *ARGUMENTS, "--drop-budget", "0.1", folder=folder).error


def test_a_model_is_not_trained_on_what_is_left(folder: Path) -> None:
    arguments = ("tiny", *ARGUMENTS[:5], "--drop-budget", "0.5", "--plan", "--json")
    plan = [row["step"].split("/")[0] for row in job("pretrain", *arguments, folder=folder).result["plan"]]
    assert plan.count("drop-budget") == 2
    assert plan.index("train-tokenizer") > max(place for place, name in enumerate(plan) if name == "drop-budget")
