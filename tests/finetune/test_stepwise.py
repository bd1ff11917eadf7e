"""What fine-tuning has in common with pretraining: the watch, saves meanwhile, layers computed once more, gangs of any size."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import RequestError, RunError
from pipeline.finetune.finetune import Finetune
from pipeline.finetune.instruction import InstructionTuning
from pipeline.finetune.loop import FinetuneLoop
from pipeline.finetune.lora import Lora
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import Labelled, RecordFiles
from pipeline.finetune.sequence_classification import SequenceClassification
from pipeline.finetune.windows import EncodeExamples, origins_of
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.storage import open_store
from pipeline.train.saves import FAILED
from pipeline.train.stepwise import LOOKING
from pipeline.train.watch import PASSED, Watch
from pipeline.workflow.events import Event as Told
from pipeline.workflow.events import Reported
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import Unit, open_artifact
from tests.finetune.conftest import Family
from tests.finetune.dialogues import ALPACA, LONG, drawn, written
from tests.finetune.members import SAVED, elastic
from tests.finetune.recipes import finetune
from tests.finetune.stopping import whole_and_stopped
from tests.train.processes import run_members
from tests.train.test_saves import full, refuse, slow_first_save
from tests.train.tiny import weights_of

SMALL = Llama(dim=32, depth=2, heads=2)
TEXT = "The old goat sang over the wall."


def built(step: Finetune, root: Path) -> Any:
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    return open_artifact(store, step)


@pytest.fixture
def poison(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, the loss of one example is no number."""
    ids, plain = Reader(family(SMALL), ("cold", "warm")).single(TEXT).ids, SequenceClassification.losses

    def losses(task: SequenceClassification, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        shown, found = inputs["input_ids"][:, : len(ids)], plain(task, model, inputs)
        return found if shown.shape[1] < len(ids) else found.where((shown != shown.new_tensor(ids)).any(dim=1), float("nan"))

    monkeypatch.setattr(SequenceClassification, "losses", losses)


def watched(family: Family, labelled: Path, act: Any) -> Finetune:
    """Two epochs, in each of which one batch holds the example that is poison."""
    return finetune(family(SMALL), labelled, watch=Watch(act=act), epochs=2, save_every=5, look_every=6, dropout=0.1)


def read(path: Path) -> dict[str, Any]:
    """The records of a file by where they are read."""
    return {record.origin: record.values for record in RecordFiles.at((str(path),)).records() if isinstance(record, Labelled)}


def origin_of(labelled: Path) -> str:
    """Where the poison was read."""
    return next(origin for origin, record in read(labelled).items() if record["text"] == TEXT)


@pytest.mark.usefixtures("poison")
def test_a_loss_that_is_no_number_ends_the_run_at_once_and_the_examples_of_its_batch_are_listed(
    family: Family, labelled: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"the loss is nan in step \d+: lower schedule\.peak .*; the 8 examples .* listed in ") as told:
        built(watched(family, labelled, "stop"), tmp_path)
    listed = json.loads(Path(str(told.value).split("listed in ")[1]).read_text())
    assert listed["why"] == "the loss is nan"
    assert len(listed["examples"]) == 8
    assert origin_of(labelled) in listed["examples"]


@pytest.mark.usefixtures("poison")
def test_steps_that_are_passed_over_are_on_record_and_going_back_ends_in_the_bytes_of_passing_over(
    family: Family, labelled: Path, tmp_path: Path
) -> None:
    skipped, rewound = (built(watched(family, labelled, act), tmp_path / act) for act in ("skip", "rewind"))
    rows = skipped.metrics()
    passed = [row for row in rows if PASSED in row]
    assert len(passed) == 2
    assert skipped.facts[PASSED] == rewound.facts[PASSED] == [row["step"] - 1 for row in passed]
    for row in passed:
        assert origin_of(labelled) in row[PASSED]["examples"]
        assert (row["loss"], row["gradient_norm"]) == (None, None)
    assert f"No update was made of the batches {passed[0]['step'] - 1}, " in (skipped.model / "README.md").read_text()
    assert rows[-1]["examples"] == (len(rows) - 2) * 8
    assert [row["loss"] for row in rewound.metrics()] == [row["loss"] for row in rows]
    assert weights_of(rewound.model) == weights_of(skipped.model)


@pytest.mark.parametrize("act", ["skip", "rewind"])
@pytest.mark.usefixtures("poison")
def test_a_run_that_was_killed_passes_over_the_same_steps_and_ends_in_the_same_bytes(
    act: str, family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = whole_and_stopped(watched(family, labelled, act), tmp_path, monkeypatch, (3, 12, 17, 23))
    whole, stopped = both.files()
    assert whole == stopped


@pytest.mark.usefixtures("poison")
def test_a_run_that_stopped_is_gone_on_with_by_one_that_passes_over(
    family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"use skip as watch\.act to go on from the newest checkpoint") as told:
        built(watched(family, labelled, "stop"), tmp_path / "stopped")
    wrong = int(str(told.value).split("in step ")[1].split(":")[0])
    assert wrong > 5, "there is a checkpoint before it"
    first: list[int] = []
    plain = FinetuneLoop._step
    monkeypatch.setattr(FinetuneLoop, "_step", lambda loop, done: first.append(done) or plain(loop, done))
    found = built(watched(family, labelled, "skip"), tmp_path / "stopped")
    assert first[0] == (wrong - 1) // 5 * 5 + 1
    assert weights_of(found.model) == weights_of(built(watched(family, labelled, "skip"), tmp_path / "fresh").model)


def test_where_the_examples_of_packed_windows_were_read_is_known(
    tokenizer: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = drawn(SMALL, tokenizer, tmp_path_factory.mktemp("roomy"))
    records = read(path := written(tmp_path / "alpaca.jsonl", ALPACA))
    step = finetune(folder, path, InstructionTuning(), batch=2, context=LONG)
    encode = step.windows
    assert isinstance(encode, EncodeExamples)
    store = open_store(str(tmp_path / "root"))
    run([encode], store, InlineExecutor())
    unit, windows = Unit(store, encode.address, "encode", 0), open_artifact(store, encode)
    everything = [origins_of(encode, unit, windows, [number]) for number in range(len(windows))]
    assert [len(origins) for origins in everything] == [windows.rows([number]) for number in range(len(windows))]
    assert len({origin for origins in everything for origin in origins}) == windows.facts["kept"]
    plain = Reader(folder, (), LONG).tokenizer
    for number, origins in enumerate(everything):
        said = plain.decode(windows.batch([number], ("input_ids",), {"input_ids": 0})[0][0])
        for origin in origins:
            assert "{instruction}\n{input}\n".format(**records[origin]) in said


def test_addresses_are_those_of_runs_that_had_no_watch(family: Family, labelled: Path) -> None:
    step = finetune(family(SMALL), labelled)
    assert "watch" not in step.recipe
    assert replace(step, watch=Watch(act="skip")).address != step.address
    assert replace(step, workers=2, least_workers=1, recompute=True).address == step.address


def test_training_goes_on_while_a_save_is_under_way(
    family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_save = slow_first_save(monkeypatch)
    built(finetune(family(SMALL), labelled, epochs=1, save_every=5), tmp_path)
    assert at_save["00000005"] == 10, "five steps were trained while the first save stood still"


def test_a_save_that_fails_is_told_of_and_the_run_goes_on_to_the_same_weights(
    family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = finetune(family(SMALL), labelled, epochs=1, save_every=5, look_every=4)
    undisturbed = weights_of(built(step, tmp_path / "undisturbed").model)
    refuse(monkeypatch, lambda path: "best.safetensors" in path and "step-00000005" in path, full)
    with caplog.at_level(logging.WARNING):
        found = built(step, tmp_path / "full")
    assert weights_of(found.model) == undisturbed
    assert len([row for row in found.metrics() if FAILED in row]) == 1
    assert "the checkpoint of 5 steps could not be saved and the next one is tried" in caplog.text


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["whole", "adapters"])
@pytest.mark.parametrize(
    "architecture",
    [
        SMALL,
        GPT2(dim=32, depth=2, heads=2),
        Mixtral(dim=32, depth=2, heads=2, experts=4),
        Bert(dim=32, depth=2, heads=2),
        T5(dim=32, depth=1, heads=2),
    ],
    ids=lambda architecture: type(architecture).__name__,
)
def test_layers_that_are_computed_once_more_end_in_the_same_weights(
    architecture: Architecture, lora: Lora | None, family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = finetune(family(architecture), labelled, epochs=0.3, dropout=0.1, lora=lora)
    kept = built(step, tmp_path / "kept")
    passes = passes_of_layers(monkeypatch)
    again = built(replace(step, recompute=True), tmp_path / "again")
    assert passes, "layers were computed within a checkpoint"
    assert weights_of(again.model) == weights_of(kept.model)
    assert (again.model / "config.json").read_text() == (kept.model / "config.json").read_text()


def passes_of_layers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each layer whose activations are not kept."""
    from torch.utils import checkpoint

    seen: list[int] = []
    plain = checkpoint.checkpoint
    monkeypatch.setattr(checkpoint, "checkpoint", lambda *words, **more: seen.append(1) or plain(*words, **more))
    monkeypatch.setattr("transformers.modeling_utils.checkpoint", checkpoint.checkpoint)
    return seen


def test_a_model_without_layers_refuses_to_compute_them_once_more(family: Family, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"recompute is true, and a .*lstm.* has no layers to compute once more: leave it out"):
        built(finetune(family(Lstm(dim=32, depth=1)), labelled, recompute=True), tmp_path)


def test_a_run_that_stops_early_says_that_it_has_ended(family: Family, labelled: Path, tmp_path: Path) -> None:
    told: list[Told] = []
    step = finetune(family(SMALL), labelled, epochs=20, look_every=6, patience=2)
    run([step], open_store(str(tmp_path)), InlineExecutor(), [told.append])
    reports = [event.metrics for event in told if isinstance(event, Reported)]
    done = open_artifact(open_store(str(tmp_path)), step).facts["steps"]
    assert (reports[-1]["step"], reports[-1]["steps"]) == (done, done)
    assert all(report["steps"] > done for report in reports[:-1])


def test_before_it_looks_at_examples_it_says_so(family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    plain = SequenceClassification.glances

    def looking(*words: Any) -> Any:
        told.append("looks")
        return plain(*words)

    def hear(event: Told) -> None:
        if isinstance(event, Reported) and LOOKING in event.metrics:
            told.append("says so")

    monkeypatch.setattr(SequenceClassification, "glances", looking)
    run([finetune(family(SMALL), labelled, epochs=1, look_every=6)], open_store(str(tmp_path)), InlineExecutor(), [hear])
    assert len(told) > 4
    assert told == ["says so", "looks"] * (len(told) // 2)


@pytest.mark.slow
def test_a_run_that_a_gang_of_two_began_goes_on_with_one_member(
    family: Family, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, store = family(SMALL), open_store(str(tmp_path / "root"))
    step = elastic(checkpoint, labelled, 2)
    run(list(step.inputs.values()), store, InlineExecutor())
    run_members(2, "tests.finetune.members", lambda rank: [str(rank), "2", str(tmp_path), str(checkpoint), str(labelled)])
    first: list[int] = []
    plain = FinetuneLoop._step
    monkeypatch.setattr(FinetuneLoop, "_step", lambda loop, done: first.append(done) or plain(loop, done))
    found = built(elastic(checkpoint, labelled, 1), tmp_path / "root")
    assert first[0] == SAVED + 1
    alone = built(elastic(checkpoint, labelled, 1), tmp_path / "alone")
    assert [row["loss"] for row in found.metrics()] == pytest.approx([row["loss"] for row in alone.metrics()], abs=1e-4)
    assert found.facts["validation"]["accuracy"] == pytest.approx(alone.facts["validation"]["accuracy"], abs=0.1)


@pytest.mark.parametrize("least", [0, 3])
def test_a_least_number_of_workers_that_is_none_is_refused(least: int, family: Family, labelled: Path) -> None:
    with pytest.raises(RequestError, match=rf"least_workers is {least}: use 1 to the number of workers \(2\)"):
        finetune(family(SMALL), labelled, workers=2, least_workers=least)
