"""Pretraining from token shards to a folder that transformers opens."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.batches.mixture import Weighted
from pipeline.errors import RequestError, RunError
from pipeline.models.llama import Llama
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.engine import AdamW, Update
from pipeline.train.plain import PlainEngine, PlainEngines
from pipeline.train.schedule import Schedule
from pipeline.workflow.events import Event, Reported
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.train.tiny import TEXTS, pretrain

Build = Callable[[Any], Checkpoint]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    store, step = open_store(str(tmp_path_factory.mktemp("root"))), pretrain(steps=60, validate_every=25)
    return Checkpoint(store, run([step], store, InlineExecutor()).manifests[step.address])


def test_the_loss_falls(trained: Checkpoint) -> None:
    assert trained.facts["loss"]["last"] < 0.5 * trained.facts["loss"]["first"]


def test_transformers_opens_the_model_and_its_tokenizer_without_our_code(trained: Checkpoint) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(trained.model), AutoTokenizer.from_pretrained(trained.model)
    inputs = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    assert model(inputs, labels=inputs).loss.item() < trained.facts["loss"]["first"]
    assert tokenizer.decode(inputs[0]) == TEXTS[0]
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == model.config.bos_token_id


def test_the_card_leads_back_to_the_inputs_and_the_recipe(trained: Checkpoint) -> None:
    card = (trained.model / "README.md").read_text()
    assert trained.manifest.inputs["mixture[0].tokens"]["address"] in card
    recipe = json.loads(card.split("```json\n")[1].split("```")[0])
    assert recipe == trained.manifest.recipe


def test_the_facts_add_up(trained: Checkpoint) -> None:
    facts = trained.facts
    weights = AutoModelForCausalLM.from_pretrained(trained.model).parameters()
    assert facts["parameters"] == sum(weight.numel() for weight in weights)
    assert (facts["steps"], facts["tokens"], facts["workers"]) == (60, 60 * 4 * 32, 1)
    assert facts["mfu"] == pytest.approx(facts["tokens_per_second"] * facts["flops_per_token"] / facts["peak"]["flops"], abs=1e-4)
    assert "measured" in facts["peak"]["source"]


def test_every_step_has_its_row_of_metrics(trained: Checkpoint) -> None:
    rows = trained.metrics()
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert [row["tokens"] for row in rows] == [4 * 32 * step for step in range(1, 61)]
    assert [row["step"] for row in rows if "validation_loss" in row] == [25, 50, 60]
    assert rows[-1]["learning_rate"] == Schedule(peak=1e-2).rate(59, 60)
    assert rows[0]["loss"] == trained.facts["loss"]["first"]


@pytest.mark.parametrize("attend", ["document", "window"])
def test_any_micro_batch_gives_the_same_losses(build: Build, attend: str, store: Store) -> None:
    curves = []
    for micro_batch in (4, 2, 1):
        step = pretrain(steps=6, attend=attend, micro_batch=micro_batch)
        curves.append([row["loss"] for row in build(step).metrics()])
        store.delete(f"{step.address}/manifest.json")  # none of it is part of the identity
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)
    assert curves[2] == pytest.approx(curves[0], abs=1e-5)


def test_its_recipe_is_read_without_torch() -> None:
    program = "import sys; from tests.train.tiny import pretrain; pretrain().address; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_how_it_runs_is_no_part_of_what_it_is() -> None:
    here = pretrain()
    there = dataclasses.replace(here, workers=2, micro_batch=1, save_every=7, validate_every=3, engines=PlainEngines())
    assert there.address == here.address


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"context": 16},
        {"attend": "window"},
        {"model": Llama(dim=32, depth=1, heads=2)},
        {"update": Update(clip=0.5)},
        {"update": Update(optimizer=AdamW(beta2=0.99))},
        {"schedule": Schedule(peak=1e-3)},
    ],
)
def test_what_changes_the_model_changes_the_address(change: dict[str, Any]) -> None:
    assert dataclasses.replace(pretrain(), **change).address != pretrain().address


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mixture": ()}, "mixture is empty"),
        ({"batch": 6, "workers": 4}, "batch is 6 windows, which 4 workers cannot share evenly"),
        ({"token_budget": 100}, "token_budget is 100, less than one step of 4 × 32 tokens: use at least 128"),
        ({"context": 0}, "context is 0"),
        ({"micro_batch": 0}, "micro_batch is 0"),
        ({"attend": "all"}, "attend is 'all'"),
        ({"validate_every": 0}, "validate_every is 0"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        pretrain(**fields)


def test_a_micro_batch_is_made_to_fit_the_share_of_a_worker() -> None:
    assert pretrain(batch=12, token_budget=10_000, workers=2, micro_batch=4).rows(2) == 3


def test_a_corpus_that_fills_no_window_is_refused_before_the_gang_starts(build: Build) -> None:
    with pytest.raises(RequestError, match="too few for one window"):
        build(pretrain(context=100_000, token_budget=1_000_000))


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_step(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = PlainEngine.loss, []

    def loss(engine: PlainEngine, *inputs: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return plain(engine, *inputs) * (float("nan") if len(calls) == 4 else 1.0)

    monkeypatch.setattr(PlainEngine, "loss", loss)
    with pytest.raises(RunError, match=r"the loss is nan in step 4: lower schedule\.peak"):
        build(pretrain(validate_every=100))


def test_the_first_and_the_last_step_are_reported(store: Store) -> None:
    heard: list[Event] = []
    run([pretrain(steps=9)], store, InlineExecutor(), [heard.append])
    steps = [event.metrics["step"] for event in heard if isinstance(event, Reported)]
    assert (steps[0], steps[-1]) == (1, 9)
    assert all(event.metrics["steps"] == 9 for event in heard if isinstance(event, Reported))


def test_a_run_that_failed_goes_on_where_it_was(build: Build, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain, taken = pretrain(steps=12), PlainEngine.step, []

    def fail_at_eighth(engine: PlainEngine, learning_rate: float) -> float:
        taken.append(1)
        if len(taken) == 8:
            raise RuntimeError("pulled the plug")
        return plain(engine, learning_rate)

    monkeypatch.setattr(PlainEngine, "step", fail_at_eighth)
    with pytest.raises(RuntimeError, match="plug"):
        build(step)
    rows = build(step).metrics()
    assert len(taken) == 8 + 7, "the seven steps after the checkpoint of five"
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert not list(store.list(f"{step.address}/work")), "nothing is left to resume from once the model is there"


def test_two_corpora_are_mixed_by_weight(build: Build) -> None:
    mixed = pretrain(steps=3, mixture=(Weighted(pretrain().mixture[0].tokens, 3.0), Weighted(pretrain().mixture[0].tokens, 1.0, "here")))
    assert build(mixed).facts["steps"] == 3
