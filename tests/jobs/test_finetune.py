"""A checkpoint onto a task, as a person asks for it."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from pipeline.models.llama import Llama
from pipeline.storage import open_store
from pipeline.workflow.artifact import read_manifest
from tests.finetune.conftest import Family, family, labelled, tokenizer
from tests.jobs.running import PROJECT, environment, job

__all__ = ["family", "labelled", "tokenizer"]
SMALL = ("--batch", "8", "--schedule.peak", "3e-3", "--cluster", "none", "--compute.engine", "plain")


@pytest.fixture(scope="module")
def folder(family: Family) -> str:
    return str(family(Llama(dim=32, depth=2, heads=2)))


def test_the_contract_is_kept_and_the_same_command_builds_nothing(folder: str, labelled: Path, tmp_path: Path) -> None:
    arguments = ("--checkpoint", folder, "--train", str(labelled), "--test", str(labelled), *SMALL, "--epochs", "4", "--json")
    result = job("finetune", *arguments, folder=tmp_path).result
    assert result["steps"] > 10
    assert result["tokens_per_second"] > 0
    assert result["loss"]["last"] < result["loss"]["first"]
    assert result["validation"]["accuracy"] > 0.9
    assert result["test"]["n"] == 180 == result["examples"]["read"]
    assert AutoModelForSequenceClassification.from_pretrained(result["checkpoint"]).config.id2label == {0: "cold", 1: "warm"}
    assert "warm" in (tmp_path / result["report"]).read_text() or (tmp_path / result["report"]).is_file()
    again = job("finetune", *arguments, folder=tmp_path).result
    assert again["built"] == []
    assert again["checkpoint"] == result["checkpoint"]


def test_a_plan_says_what_would_be_built_and_builds_nothing(folder: str, labelled: Path, tmp_path: Path) -> None:
    result = job("finetune", "--checkpoint", folder, "--train", str(labelled), *SMALL, "--plan", "--json", folder=tmp_path).result
    assert [row["step"].split("/")[0] for row in result["plan"]] == ["foreign-checkpoint", "read-examples", "encode-examples", "finetune"]
    assert not list(tmp_path.glob("runs/finetune/*"))


def test_a_list_of_prices_without_the_device_is_refused_and_one_with_it_says_what_it_cost(
    folder: str, labelled: Path, tmp_path: Path
) -> None:
    for name, device in (("cards.toml", "a card that nobody has"), ("both.toml", "")):  # every name holds the empty one
        (tmp_path / name).write_text(f'currency = "EUR"\n[worker_hour]\n"{device}" = 36.0\n')
    arguments = ("--checkpoint", folder, "--train", str(labelled), *SMALL, "--epochs", "1", "--compute.prices")
    refused = job("finetune", *arguments, "cards.toml", folder=tmp_path)
    assert refused.code == 2
    assert "no worker_hour for a device named" in refused.error
    cost = job("finetune", *arguments, "both.toml", "--json", folder=tmp_path).result["economy"]
    assert cost["price"] == pytest.approx(36.0 * cost["worker_hours"], abs=1e-4)


def test_of_a_grid_what_scores_best_on_the_validation_examples_is_the_result(folder: str, labelled: Path, tmp_path: Path) -> None:
    arguments = ("--checkpoint", folder, "--train", str(labelled), *SMALL, "--grid", "schedule.peak=1e-6,3e-3", "epochs=1,3", "--json")
    result = job("finetune", *arguments, folder=tmp_path).result
    tried = result["grid"]
    assert [(each["schedule.peak"], each["epochs"]) for each in tried] == [("1e-6", "1"), ("1e-6", "3"), ("3e-3", "1"), ("3e-3", "3")]
    best = max(tried, key=lambda each: each["validation"]["accuracy"])
    assert result["artifact"] == best["artifact"]
    assert result["validation"] == best["validation"]
    assert len({each["artifact"] for each in tried}) == 4


def test_models_of_a_grid_that_are_trained_at_once_are_those_that_are_trained_one_by_one(
    folder: str, labelled: Path, tmp_path: Path
) -> None:
    arguments = ("--checkpoint", folder, "--train", str(labelled), *SMALL, "--grid", "epochs=1,2", "--json", "--root")
    alone = job("finetune", *arguments, str(tmp_path / "alone")).result
    together = job("finetune", *arguments, str(tmp_path / "together"), "--at-once", "2").result
    assert together["grid"] == alone["grid"]
    assert sorted(together["built"]) == sorted(alone["built"])
    assert together["skipped"] == []
    assert job("finetune", *arguments, str(tmp_path / "together"), "--at-once", "2").result["built"] == []


def _saved(root: Path) -> int:
    """The steps of the newest checkpoint that a fine-tuning may go on from."""
    return max((int(place.name.removeprefix("step-")) for place in root.glob("finetune/*/work/checkpoints/*/step-*")), default=0)


@pytest.mark.slow
def test_a_job_that_is_killed_again_and_again_ends_in_the_same_files(folder: str, labelled: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", folder, "--train", str(labelled), *SMALL, "--epochs", "40", "--compute.save-every", "20"]
    whole = job("finetune", *arguments, "--root", "whole", "--json", folder=tmp_path).result
    command = [sys.executable, str(PROJECT / "jobs/finetune.py"), *arguments, "--root", "killed"]
    random.seed(0)
    kills = 0
    for _ in range(3):
        with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            before, until = _saved(tmp_path / "killed"), time.monotonic() + 120
            while running.poll() is None and _saved(tmp_path / "killed") <= before and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(random.uniform(0, 0.3))
            kills += running.poll() is None
            running.kill()
    killed = job("finetune", *arguments, "--root", "killed", "--json", folder=tmp_path).result
    assert kills
    files = []
    for root in ("whole", "killed"):
        manifest = read_manifest(open_store(str(tmp_path / root)), whole["artifact"])
        assert manifest is not None
        files.append([(entry.path, entry.checksum) for entry in manifest.files if entry.kind != "metrics"])
    assert files[0] == files[1]
    assert killed["validation"] == whole["validation"]


@pytest.mark.slow
def test_a_gang_under_ray_and_deepspeed_learns_what_one_process_does(folder: str, labelled: Path, tmp_path: Path) -> None:
    shared = ("--checkpoint", folder, "--train", str(labelled), "--batch", "8", "--schedule.peak", "3e-3", "--dropout", "0", "--json")
    alone = job("finetune", *shared, "--root", "alone", "--cluster", "none", "--compute.engine", "plain", folder=tmp_path).result
    gang = job("finetune", *shared, "--root", "gang", "--compute.workers", "2", "--compute.zero", "2", folder=tmp_path).result
    assert gang["artifact"] == alone["artifact"]
    assert gang["loss"]["last"] == pytest.approx(alone["loss"]["last"], rel=0.05)
    assert gang["validation"]["accuracy"] == pytest.approx(alone["validation"]["accuracy"], abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--train", "nowhere.tsv"), "there is no file 'nowhere.tsv'"),
        ((), "--train is empty"),
        (("--train", "odd.jsonl"), "has no column 'text', only sentence, label"),
        (("--train", "good.jsonl", "--validation", "other.jsonl"), "--validation has the label 'hot'"),
        (("--train", "one.jsonl"), "has one label, 'cold'"),
        (("--train", "good.jsonl", "--context", "4096"), "context is 4096 tokens"),
        (("--train", "good.jsonl", "--batch", "7", "--compute.workers", "2"), "which 2 workers cannot share evenly"),
        (("--train", "good.jsonl", "--checkpoint", "pickled"), "it holds pytorch_model.bin, which could run code"),
        (("--train", "good.jsonl", "--checkpoint", "empty"), "is no checkpoint"),
        (("--train", "good.jsonl", "--checkpoint", "pretrain/none"), "there is no checkpoint pretrain/none"),
        (("--train", "good.jsonl", "--lora-rank", "0"), "lora.rank is 0"),
        (("--train", "good.jsonl", "--grid", "epochs"), "is no setting with values"),
        (("--train", "good.jsonl", "--grid", "epoch=1,2"), "names epoch, which is no setting"),
        (("--train", "good.jsonl", "--grid", "batch=1.5"), "batch with '1.5': give whole numbers"),
        (("--train", "good.jsonl", "--grid", "task=1"), "which is no number"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line_before_anything_starts(
    arguments: tuple[str, ...], words: str, folder: str, tmp_path: Path
) -> None:
    rows = [("cold river", "cold"), ("warm fox", "warm")]
    (tmp_path / "good.jsonl").write_text("".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in rows))
    (tmp_path / "odd.jsonl").write_text('{"sentence": "a", "label": "b"}\n')
    (tmp_path / "one.jsonl").write_text('{"text": "a", "label": "cold"}\n')
    (tmp_path / "other.jsonl").write_text('{"text": "a", "label": "hot"}\n')
    for name in ("pickled", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    done = job("finetune", "--checkpoint", folder, *arguments, folder=tmp_path)
    assert done.code == 2, done.stderr
    assert words in done.error
    assert not list(tmp_path.glob("runs/*/*/manifest.json"))
