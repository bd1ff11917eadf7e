"""A checkpoint onto a task."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers knows the LSTM by this import
from pipeline.errors import RequestError
from pipeline.finetune.finetune import ANSWERS, Finetune
from pipeline.finetune.lora import Lora
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.storage import Store, open_store
from pipeline.train.engine import Update
from pipeline.train.muon import Muon
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.finetune.conftest import Family
from tests.finetune.recipes import finetune
from tests.finetune.stopping import whole_and_stopped

SMALL = Llama(dim=32, depth=2, heads=2)


def built(step: Finetune, root: Path) -> tuple[Store, Any]:
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    return store, open_artifact(store, step)


def answers(checkpoint: Any) -> list[dict[str, Any]]:
    from pyarrow.parquet import read_table

    (entry,) = checkpoint.files(ANSWERS)
    rows: list[dict[str, Any]] = read_table(checkpoint.local(entry)).to_pylist()
    return rows


@pytest.mark.parametrize(
    "architecture",
    [
        SMALL,
        GPT2(dim=32, depth=2, heads=2),
        Mixtral(dim=32, depth=2, heads=2, experts=4),
        Lstm(dim=32, depth=1),
        Bert(dim=32, depth=2, heads=2),
        T5(dim=32, depth=1, heads=2),
    ],
    ids=lambda architecture: type(architecture).__name__,
)
def test_every_family_learns_labels_and_its_folder_answers_what_it_answered(
    architecture: Architecture, family: Family, labelled: Path, tmp_path: Path
) -> None:
    _, checkpoint = built(finetune(family(architecture), labelled), tmp_path)
    scores = checkpoint.facts["validation"]
    assert scores["accuracy"] > 0.9
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    rows = answers(checkpoint)
    assert len(rows) == scores["n"] > 10
    for row in rows[:5]:
        shown = tokenizer(json.loads(row["row"])["text"], return_tensors="pt")
        with torch.no_grad():
            logits = model(input_ids=shown["input_ids"], attention_mask=shown["attention_mask"]).logits[0]
        said = json.loads(row["answer"])
        assert model.config.id2label[int(logits.argmax())] == said["label"]
        for label, probability in zip(checkpoint.facts["labels"], logits.softmax(-1).tolist(), strict=True):
            assert said["probabilities"][label] == pytest.approx(probability, abs=1e-5)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = finetune(family(SMALL), labelled, dropout=0.1, epochs=3, save_every=7, look_every=5)
    both = whole_and_stopped(step, tmp_path, monkeypatch, (3, 17, 31))
    whole, stopped = both.files()
    assert whole == stopped
    assert [row["loss"] for row in both.whole.metrics()] == [row["loss"] for row in both.stopped.metrics()]
    assert [one.facts["economy"]["restarts"] for one in (both.whole, both.stopped)] == [0, 3]


def test_the_weights_that_scored_best_are_kept_and_a_run_that_gets_no_better_stops(family: Family, labelled: Path, tmp_path: Path) -> None:
    _, checkpoint = built(finetune(family(SMALL), labelled, epochs=20, look_every=6, patience=2), tmp_path)
    looks = {row["step"]: row["validation"]["accuracy"] for row in checkpoint.metrics() if "validation" in row}
    best = checkpoint.facts["best_step"]
    assert looks[best] == max(looks.values()) == checkpoint.facts["validation"]["accuracy"]
    assert best == min(step for step, score in looks.items() if score == looks[best])
    assert checkpoint.facts["steps"] == best + 2 * 6


def test_adapters_alone_are_trained_and_stand_in_the_matrices_at_the_end(family: Family, labelled: Path, tmp_path: Path) -> None:
    folder = family(SMALL)
    _, checkpoint = built(finetune(folder, labelled, lora=Lora(rank=4), epochs=8), tmp_path)
    assert checkpoint.facts["validation"]["accuracy"] > 0.9
    assert checkpoint.facts["trained_parameters"] < checkpoint.facts["parameters"] / 2
    before, after = load_file(folder / "model.safetensors"), load_file(checkpoint.model / "model.safetensors")
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert not torch.equal(before["model.layers.0.self_attn.q_proj.weight"], after["model.layers.0.self_attn.q_proj.weight"])
    assert not [name for name in after if "lora" in name]


def test_how_many_windows_are_taken_at_once_changes_no_loss(family: Family, labelled: Path, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (8, 2):
        _, checkpoint = built(finetune(family(SMALL), labelled, epochs=1, micro_batch=micro_batch), tmp_path / str(micro_batch))
        losses.append([row["loss"] for row in checkpoint.metrics()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_fine_tuned_checkpoint_is_fine_tuned_again_with_its_labels_in_their_places(
    family: Family, labelled: Path, tmp_path: Path
) -> None:
    _, first = built(finetune(family(SMALL), labelled), tmp_path)
    _, second = built(finetune(first.model, labelled, epochs=0.3), tmp_path)
    assert second.facts["labels"] == first.facts["labels"]
    assert second.facts["loss"]["first"] < 0.3 < first.facts["loss"]["first"]


@pytest.mark.parametrize("architecture", [Bert(dim=32, depth=2, heads=2), GPT2(dim=32, depth=2, heads=2), T5(dim=32, depth=1, heads=2)])
def test_dropout_is_of_training_alone(architecture: Architecture, family: Family, labelled: Path, tmp_path: Path) -> None:
    kept, dropped = (
        built(finetune(family(architecture), labelled, epochs=0.1, dropout=dropout), tmp_path / str(dropout))[1] for dropout in (0.0, 0.5)
    )
    assert kept.metrics()[0]["loss"] != pytest.approx(dropped.metrics()[0]["loss"], abs=1e-4)
    model = AutoModelForSequenceClassification.from_pretrained(dropped.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(dropped.model)
    row = answers(dropped)[0]
    with torch.no_grad():
        logits = model(input_ids=tokenizer(json.loads(row["row"])["text"], return_tensors="pt")["input_ids"]).logits[0]
    said = json.loads(row["answer"])["probabilities"]
    assert list(said.values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-5)


def test_a_seed_draws_the_head_and_the_order(family: Family, labelled: Path, tmp_path: Path) -> None:
    runs = [built(finetune(family(SMALL), labelled, epochs=0.2, seed=seed), tmp_path / str(seed))[1] for seed in (0, 1)]
    assert runs[0].metrics()[0]["loss"] != runs[1].metrics()[0]["loss"]


def test_where_no_example_comes_to_be_held_out_that_is_told_before_anything_is_trained(
    family: Family, labelled: Path, tmp_path: Path
) -> None:
    step = finetune(family(SMALL), labelled, held_out=1e-9)
    with pytest.raises(RequestError, match="held_out is 1e-09, and of 180 examples none is held out: hold out a larger share"):
        built(step, tmp_path)
    assert not list(tmp_path.glob("finetune"))


def test_an_optimizer_for_models_that_are_trained_from_the_start_is_refused(family: Family, labelled: Path) -> None:
    with pytest.raises(RequestError, match=r"^update\.optimizer is Muon, which is for pretraining: use adamw"):
        finetune(family(SMALL), labelled, update=Update(optimizer=Muon()))
    with pytest.raises(RequestError, match=r"^update\.precision is fp8, which is for pretraining: use bf16"):
        finetune(family(SMALL), labelled, update=Update(precision="fp8"))


def test_workers_that_share_each_window_are_refused(family: Family, labelled: Path) -> None:
    with pytest.raises(RequestError, match=r"^sequence_parallel is 2, which is for pretraining: use 1"):
        finetune(family(SMALL), labelled, engines=PlainEngines(sequence_parallel=2), workers=2)
