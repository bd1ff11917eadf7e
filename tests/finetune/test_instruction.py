"""A checkpoint onto answers to instructions."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, Unfit
from pipeline.finetune.examples import survey
from pipeline.finetune.instruction import InstructionTuning
from pipeline.finetune.lora import Lora
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import RecordFiles
from pipeline.inference.chat import conversation
from pipeline.inference.generation import Sampling, write
from pipeline.metrics.likelihood import answer_metrics, answer_scores
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.train.schedule import Schedule
from tests.finetune.conftest import Family
from tests.finetune.dialogues import ALPACA, CHATS, LONG, built, drawn, kept_answers, windows_of, written
from tests.finetune.recipes import finetune
from tests.finetune.stopping import whole_and_stopped

SMALL = Llama(dim=32, depth=2, heads=2)
FAST = Schedule(peak=1e-2, warmup=0.1, floor=0.0, decay="linear")
FAMILIES = [SMALL, GPT2(dim=32, depth=2, heads=2), Mixtral(dim=32, depth=2, heads=2, experts=4), Lstm(dim=32, depth=1)]
each_family = pytest.mark.parametrize("architecture", FAMILIES, ids=lambda architecture: type(architecture).__name__)


@pytest.fixture(scope="module")
def roomy(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A checkpoint of an architecture that reads conversations."""
    return cache(lambda architecture: drawn(architecture, tokenizer, tmp_path_factory.mktemp("roomy")))


@pytest.fixture
def alpaca(tmp_path: Path) -> Path:
    return written(tmp_path / "alpaca.jsonl", ALPACA)


@each_family
def test_every_family_learns_to_answer_and_its_folder_says_what_it_said(
    architecture: Architecture, roomy: Family, alpaca: Path, tmp_path: Path
) -> None:
    task = InstructionTuning()
    step = finetune(roomy(architecture), alpaca, task, epochs=30, batch=4, schedule=FAST, context=LONG)
    checkpoint = built(step, tmp_path / "root")
    scores, shown = checkpoint.facts["validation"], windows_of(step, tmp_path / "root")
    assert scores["log_likelihood"] > -1.0
    assert scores["perplexity"] < 3.0
    model = AutoModelForCausalLM.from_pretrained(checkpoint.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    answers = kept_answers(checkpoint)
    assert len(answers) == scores["n"] > 2
    for row, said in answers[:3]:
        ids = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        asked = conversation(tokenizer, row["messages"][:-1])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        found = logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])][len(asked) - 1 :]
        assert said["tokens"] == len(found)
        assert said["log_likelihood"] == pytest.approx(found.sum().item(), abs=1e-3)
        ((again,),) = write(model, tokenizer, [asked], Sampling(temperature=0, max_new_tokens=128))
        assert said["written"] == again.text
    columns = shown.columns
    taught = {tuple(_rows(columns, number)[row]) for number in range(len(shown)) for row in range(shown.rows([number]))}
    exported = {tuple(tokenizer.apply_chat_template(_messages(record), tokenize=True, return_dict=False)) for record in ALPACA}
    assert taught < exported, "the ids that training saw are those that the folder's tokenizer gives"
    assert len(taught) == shown.facts["kept"] == shown.rows(range(len(shown))) > len(shown)


def _messages(record: dict[str, str]) -> list[dict[str, str]]:
    asked = f"{record['instruction']}\n{record['input']}"
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": record["output"]}]


def _rows(columns: Any, number: int) -> list[list[int]]:
    """The texts of a window."""

    def column(name: str) -> Any:
        return columns[name].values[columns[name].starts[number] : columns[name].starts[number + 1]]

    ids, documents = column("input_ids"), column("documents")
    return [ids[documents == text].tolist() for text in range(1, documents.max() + 1)]


@each_family
def test_the_loss_and_the_gradient_of_a_packed_step_are_those_of_its_conversations_alone(
    architecture: Architecture, roomy: Family, tmp_path: Path
) -> None:
    task, reader = InstructionTuning(), Reader(roomy(architecture), context=LONG)
    alone = [task.shown(task.row(record), reader).windows[0] for record in ALPACA[:9]]
    together = list(task.completed(alone, reader))
    assert 1 < len(together) < 6
    model = AutoModelForCausalLM.from_pretrained(reader.folder).eval()
    found = []
    for windows in (alone, together):
        model.zero_grad()
        losses = task.losses(model, _batch(windows, reader.padding))
        loss = losses.mean() / (len(alone) / len(windows))
        loss.backward()
        found.append((loss.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=1e-3)


def _batch(windows: Any, padding: int) -> dict[str, torch.Tensor]:
    filling = {"input_ids": padding, **InstructionTuning.filling}
    width = max(len(window["input_ids"]) for window in windows)
    return {
        name: torch.tensor([[*window[name], *[filling[name]] * (width - len(window[name]))] for window in windows])
        for name in InstructionTuning.inputs
    }


def test_a_step_counts_every_conversation_alike_however_it_is_shared_out(roomy: Family, alpaca: Path, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (4, 1):
        step = finetune(roomy(SMALL), alpaca, InstructionTuning(), epochs=3, batch=4, micro_batch=micro_batch, context=LONG)
        losses.append([row["loss"] for row in built(step, tmp_path / str(micro_batch)).metrics()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_loss_of_a_step_is_the_mean_over_its_conversations(roomy: Family, alpaca: Path, tmp_path: Path) -> None:
    task, reader = InstructionTuning(), Reader(roomy(SMALL), context=LONG)
    count = len(windows_of(finetune(roomy(SMALL), alpaca, task, context=LONG), tmp_path))
    step = finetune(roomy(SMALL), alpaca, task, epochs=1, batch=count, micro_batch=2, context=LONG)
    found = built(step, tmp_path).facts["loss"]["first"]
    held = {row["messages"][0]["content"] for row, _ in kept_answers(built(step, tmp_path))}
    rows = [row for row in map(task.row, ALPACA) if row["messages"][0]["content"] not in held]
    model = AutoModelForCausalLM.from_pretrained(reader.folder).eval()
    with torch.no_grad():
        losses = task.losses(model, _batch([task.shown(row, reader).windows[0] for row in rows], reader.padding))
    assert count < len(losses) == windows_of(step, tmp_path).facts["kept"]
    assert found == pytest.approx(losses.mean().item(), abs=1e-4)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    roomy: Family, alpaca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = finetune(roomy(SMALL), alpaca, InstructionTuning(), dropout=0.1, epochs=8, batch=4, save_every=3, context=LONG)
    both = whole_and_stopped(step, tmp_path, monkeypatch, (8,))
    whole, stopped = both.files()
    assert whole == stopped


def test_every_answer_of_a_conversation_is_learned_by_adapters_too(roomy: Family, tmp_path: Path) -> None:
    chats, task = written(tmp_path / "chats.jsonl", CHATS), InstructionTuning(messages="conversations")
    step = finetune(roomy(SMALL), chats, task, lora=Lora(rank=8, alpha=32), epochs=20, schedule=FAST, batch=4, context=LONG)
    checkpoint = built(step, tmp_path / "root")
    assert checkpoint.facts["trained_parameters"] < checkpoint.facts["parameters"]
    labels = windows_of(step, tmp_path / "root").columns["labels"].values
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    learned = tokenizer.decode(labels[labels != IGNORED])
    kept = windows_of(step, tmp_path / "root").facts["kept"]
    assert learned == "It sang.<|endoftext|>It looked.<|endoftext|>" * kept
    assert checkpoint.facts["validation"]["log_likelihood"] > 2.0 - checkpoint.facts["loss"]["first"]


def test_what_cannot_be_learned_from_is_counted_by_its_reason(roomy: Family, tmp_path: Path) -> None:
    long = {"instruction": "why? " * 200, "input": "", "output": "no"}
    cut = {"instruction": "why?", "input": "", "output": "no " * 200}
    forged = {"instruction": "why? <|assistant|>", "input": "", "output": "no"}
    records = written(tmp_path / "odd.jsonl", [*ALPACA, {**ALPACA[0], "output": " "}, {"input": "x"}, long, cut, forged])
    step = finetune(roomy(SMALL), records, InstructionTuning(), held_out=0.01, epochs=1, batch=4, context=LONG)
    root = tmp_path / "root"
    shown = windows_of(step, root)
    assert built(step.train, root).facts["dropped"] == {"empty-output": 1, "no-instruction": 1}
    dropped = {reason: count for reason, count in shown.facts["dropped"].items() if reason != "held-out"}
    assert (dropped, shown.facts["truncated"]) == ({"no-answer-fits": 1, "holds-a-special-token": 1}, 1)


def test_a_row_is_the_messages_of_its_record() -> None:
    task, chats = InstructionTuning(), InstructionTuning(messages="m")
    assert task.row({"instruction": " a ", "output": "b"})["messages"][0]["content"] == "a"
    assert task.row({"instruction": "a", "input": " c ", "output": "b"})["messages"][0]["content"] == "a\nc"
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert len(chats.row({"m": asked})["messages"]) == 2
    with pytest.raises(Unfit, match="no-answer"):
        chats.row({"m": asked[:1]})


def test_columns_that_are_missing_are_named_with_those_there_are(tmp_path: Path) -> None:
    files = RecordFiles.at((str(written(tmp_path / "chats.jsonl", CHATS)),))
    with pytest.raises(RequestError, match=r"no column 'instruction', only conversations"):
        survey(files, InstructionTuning())
    with pytest.raises(RequestError, match=r"no column 'messages', only conversations: name the right one by --task.messages"):
        survey(files, InstructionTuning(messages="messages"))
    assert survey(files, InstructionTuning(messages="conversations")).kept == len(CHATS)


def test_perplexity_is_of_all_tokens_alike_and_a_row_that_was_not_asked_counts_for_nothing() -> None:
    totals = {name: one + two for (name, one), two in zip(answer_scores(-2.0, 2).items(), answer_scores(-12.0, 4).values(), strict=True)}
    found = answer_metrics({**totals, "n": 3.0})
    assert found["log_likelihood"] == pytest.approx(-2.0)
    assert found["perplexity"] == pytest.approx(2.718281828 ** (14 / 6))


def test_the_trial_instructions_are_read_in_both_languages(shared_data: Path) -> None:
    for name, count in (("alpaca_en_demo", 999), ("alpaca_zh_demo", 1000)):
        found = survey(RecordFiles.at((str(shared_data / f"finetune/instruct/{name}.json"),)), InstructionTuning())
        assert found.kept == count
