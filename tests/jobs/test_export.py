"""Export as a person does it: a command, a folder that transformers opens, its scores on the card, and early errors."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM

from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.perplexity import Perplexity
from pipeline.models.gpt2 import GPT2
from pipeline.storage import open_store
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import open_artifact
from tests.jobs.running import job
from tests.train.tiny import pretrain

ALONE = ("--cluster", "none", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root that holds a checkpoint of GPT-2, and one of Llama that was evaluated."""
    folder = tmp_path_factory.mktemp("place")
    store, step = open_store(str(folder / "runs")), pretrain(steps=3)
    other = pretrain(steps=3, model=GPT2(dim=32, depth=1, heads=2))
    run([other, Evaluate(checkpoint=step, tasks=(Perplexity(),), tokens=step.mixture[0].tokens)], store, InlineExecutor())
    return folder


def test_a_checkpoint_becomes_a_folder_with_its_scores_and_lineage_on_the_card(place: Path) -> None:
    step, asked = pretrain(steps=3), ("--checkpoint", pretrain(steps=3).address, *ALONE)
    options = ("--form.gguf", "--card.license", "mit", "--card.languages", "en", "--form.precision", "bf16")
    made = job("export", *asked, *options, folder=place).result
    folder = place / made["folder"]
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert (folder / made["gguf"]).stat().st_size > 0
    text = (folder / "README.md").read_text()
    assert ModelCard(text).data.license == "mit"
    store = open_store(str(place / "runs"))
    scores = [manifest for manifest in store.list("evaluate") if manifest.path.endswith("manifest.json")]
    address = scores[0].path.removesuffix("/manifest.json")
    loss = open_artifact(store, Reference(of=address, opens=Artifact)).facts["scores"]["perplexity"]["loss"]
    assert [result.metric_value for result in ModelCard(text).data.eval_results if result.metric_type == "loss"] == [loss]
    assert step.mixture[0].tokens.address in text
    again = job("export", *asked, *options, folder=place).result
    assert (again["built"], again["folder"]) == ([], made["folder"])


def test_a_folder_from_elsewhere_is_exported_too(place: Path) -> None:
    store = open_store(str(place / "runs"))
    source = open_artifact(store, pretrain(steps=3)).folder("model")
    made = job("export", "--checkpoint", str(source), *ALONE, folder=place).result
    assert (place / made["folder"] / "model.safetensors").is_file()
    assert made["checkpoint"].startswith("foreign-checkpoint/")


WRONG = {
    "a licence that is none": (["--card.license", "My Licence"], ["My Licence", "apache-2.0"]),
    "carbon of unknown energy": (["--card.grams-per-kwh", "400"], ["energy_kwh"]),
    "no room for weights": (["--form.shard-mebibytes", "0"], ["shard_mebibytes is 0"]),
    "a model that llama.cpp is not written of": (["--form.gguf", "--checkpoint", "GPT2"], ["gpt2", "--form.gguf"]),
    "a checkpoint that is not there": (["--checkpoint", "pretrain/0000"], ["pretrain/0000"]),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_told_before_anything_is_written(wrong: str, place: Path) -> None:
    arguments, words = WRONG[wrong]
    gpt2 = pretrain(steps=3, model=GPT2(dim=32, depth=1, heads=2)).address
    before = sorted(place.rglob("*"))
    done = job("export", *(gpt2 if word == "GPT2" else word for word in arguments), *ALONE, folder=place)
    assert (done.code, done.stdout) == (2, "")
    assert all(word in done.error for word in words), done.error
    assert sorted(place.rglob("*")) == before
