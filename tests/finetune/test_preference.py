"""A checkpoint onto preferences."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.errors import RequestError
from pipeline.finetune.base import Unfit
from pipeline.finetune.examples import survey
from pipeline.finetune.lora import Lora
from pipeline.finetune.preference import PreferenceTuning
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import RecordFiles
from pipeline.metrics.likelihood import preference_metrics, preference_scores
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from tests.finetune.conftest import Family
from tests.finetune.dialogues import CHATS, LONG, PAIRS, built, drawn, kept_answers, windows_of, written
from tests.finetune.recipes import finetune
from tests.finetune.stopping import whole_and_stopped

SMALL = Llama(dim=32, depth=2, heads=2)
FAMILIES = [SMALL, GPT2(dim=32, depth=2, heads=2), Mixtral(dim=32, depth=2, heads=2, experts=4), Lstm(dim=32, depth=1)]
TASK = PreferenceTuning(prompt="conversations")


@pytest.fixture(scope="module")
def roomy(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A checkpoint of an architecture that reads conversations."""
    return cache(lambda architecture: drawn(architecture, tokenizer, tmp_path_factory.mktemp("roomy")))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return written(tmp_path / "pairs.jsonl", PAIRS)


def log_likelihood(model: Any, tokenizer: Any, messages: list[dict[str, str]], answer: str) -> float:
    """By the folder alone: that of an answer to a conversation."""
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    ids = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": answer}], tokenize=True, return_dict=False)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    return logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])][len(asked) - 1 :].sum().item()


@pytest.mark.parametrize("architecture", FAMILIES, ids=lambda architecture: type(architecture).__name__)
def test_every_family_learns_what_is_preferred_and_its_folder_says_what_it_said(
    architecture: Architecture, roomy: Family, pairs: Path, tmp_path: Path
) -> None:
    folder = roomy(architecture)
    checkpoint = built(finetune(folder, pairs, TASK, epochs=4, context=LONG), tmp_path / "root")
    scores = checkpoint.facts["validation"]
    assert scores["accuracy"] == 1.0
    assert scores["margin"] > 0.5
    assert scores["log_likelihood"] > -0.5
    assert checkpoint.metrics()[0]["loss"] == pytest.approx(0.6931, abs=1e-3), "before the first step, nothing is preferred"
    after, before = (AutoModelForCausalLM.from_pretrained(place).eval() for place in (checkpoint.model, folder))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    for row, said in kept_answers(checkpoint)[:3]:
        for number, name in enumerate(("chosen", "rejected")):
            assert said["log_likelihoods"][number] == pytest.approx(log_likelihood(after, tokenizer, row["messages"], row[name]), abs=1e-3)
            assert said["reference"][number] == pytest.approx(log_likelihood(before, tokenizer, row["messages"], row[name]), abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_the_loss_is_that_of_trl(roomy: Family, tmp_path: Path) -> None:
    """The tokens, the likelihoods of model and reference, the loss and its gradient: all by trl's own trainer, from the records on."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    folder, task = roomy(SMALL), PreferenceTuning(prompt="conversations", beta=0.3)
    reader = Reader(folder, context=LONG)
    assert reader.chat
    rows = [task.row(record) for record in PAIRS[:6]]
    trainer = DPOTrainer(
        model=_moved(folder),
        ref_model=AutoModelForCausalLM.from_pretrained(folder),
        args=DPOConfig(
            str(tmp_path / "trl"), beta=0.3, per_device_train_batch_size=6, report_to=[], use_cpu=True, bf16=False, max_length=LONG
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": row["messages"],
                    "chosen": [{"role": "assistant", "content": row["chosen"]}],
                    "rejected": [{"role": "assistant", "content": row["rejected"]}],
                }
                for row in rows
            ]
        ),
        processing_class=reader.tokenizer,
    )
    theirs = trainer.compute_loss(trainer.model.eval(), trainer.data_collator(list(trainer.train_dataset)))
    theirs.backward()
    windows = list(task.completed([task.shown(row, reader).windows[0] for row in rows], reader))
    inputs = {name: _filled([window[name] for window in windows], task.filling.get(name, reader.padding)) for name in task.inputs}
    model = _moved(folder)
    ours = task.losses(model, inputs).mean()
    ours.backward()
    assert ours.item() != pytest.approx(0.6931, abs=0.01)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for (name, parameter), other in zip(model.named_parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-5, rtol=1e-3, msg=name)


def _moved(folder: Path) -> Any:
    """The checkpoint, some way from where it was."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model


def _filled(rows: list[Any], filling: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filling] * (width - len(row))] for row in rows])


def test_adapters_learn_what_is_preferred_too(roomy: Family, pairs: Path, tmp_path: Path) -> None:
    step = finetune(roomy(SMALL), pairs, TASK, lora=Lora(rank=4), epochs=12, context=LONG)
    checkpoint = built(step, tmp_path / "root")
    assert checkpoint.facts["trained_parameters"] < checkpoint.facts["parameters"]
    assert checkpoint.facts["validation"]["accuracy"] == 1.0
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint.model).eval(), AutoTokenizer.from_pretrained(checkpoint.model)
    row, said = kept_answers(checkpoint)[0]
    assert said["log_likelihoods"][0] == pytest.approx(log_likelihood(model, tokenizer, row["messages"], row["chosen"]), abs=1e-3)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    roomy: Family, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = finetune(roomy(SMALL), pairs, TASK, epochs=4, save_every=3, context=LONG)
    both = whole_and_stopped(step, tmp_path, monkeypatch, (8,))
    whole, stopped = both.files()
    assert whole == stopped


def test_how_many_pairs_are_taken_at_once_changes_no_loss(roomy: Family, pairs: Path, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (8, 2):
        step = finetune(roomy(SMALL), pairs, TASK, epochs=2, micro_batch=micro_batch, context=LONG)
        losses.append([row["loss"] for row in built(step, tmp_path / str(micro_batch)).metrics()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_of_a_conversation_the_last_answer_alone_is_judged(roomy: Family) -> None:
    reader = Reader(roomy(SMALL), context=LONG)
    turns = CHATS[0]["conversations"][:-1]
    row = TASK.row({"conversations": turns, "chosen": "yes", "rejected": "no"})
    (window,) = TASK.shown(row, reader).windows
    learned = [reader.tokenizer.decode([label for label in window[name] if label >= 0]) for name in ("labels", "rejected_labels")]
    assert learned == ["yes<|endoftext|>", "no<|endoftext|>"]


def test_answers_are_texts_messages_or_lists_of_one_message() -> None:
    plain = PreferenceTuning().row({"prompt": "a", "chosen": "b", "rejected": "c"})
    message = {"role": "user", "content": "a"}
    lists = {
        "prompt": [message],
        "chosen": [{"role": "assistant", "content": "b"}],
        "rejected": {"from": "gpt", "value": " c "},
    }
    assert PreferenceTuning().row(lists) == plain == {"messages": [message], "chosen": "b", "rejected": "c"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": "b", "rejected": " b"}, "chosen-is-rejected"),
        ({"chosen": " "}, "empty-chosen"),
        ({"rejected": None}, "no-rejected"),
        ({"rejected": 3}, "message-is-no-object"),
        ({"rejected": {"from": "human", "value": "c"}}, "rejected-is-no-answer"),
        ({"prompt": " "}, "empty-question"),
        ({"prompt": None}, "prompt-is-no-conversation"),
        ({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "ends-without-a-question"),
    ],
)
def test_what_prefers_nothing_has_a_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfit, match=f"^{reason}$"):
        PreferenceTuning().row({"prompt": "a", "chosen": "b", "rejected": "c", **change})


def test_pairs_that_do_not_differ_where_they_fit_are_counted_and_those_of_validation_count_for_nothing(
    roomy: Family, tmp_path: Path
) -> None:
    alike = {"prompt": "Is it?", "chosen": "no " * 200 + "yes", "rejected": "no " * 200}
    usual = [{"prompt": "Is it?", "chosen": f"over the hill {number}", "rejected": "green river"} for number in range(20)]
    records, validation = written(tmp_path / "train.jsonl", [*usual, alike]), written(tmp_path / "held.jsonl", [alike, *usual[:3]])
    task = PreferenceTuning()
    step = finetune(roomy(SMALL), records, task, validation=finetune(roomy(SMALL), validation, task).train, held_out=0.0, context=LONG)
    checkpoint = built(step, tmp_path / "root")
    assert windows_of(step, tmp_path / "root").facts["dropped"] == {"the-same-where-cut": 1}
    (_, said), *_ = kept_answers(checkpoint)
    assert said == {"unfit": "the-same-where-cut"}
    assert checkpoint.facts["validation"]["accuracy"] == 1.0


def test_a_wrong_request_is_refused() -> None:
    with pytest.raises(RequestError, match=r"task.beta is 0: use more than 0"):
        PreferenceTuning(beta=0)
    with pytest.raises(RequestError, match="one column for two things"):
        PreferenceTuning(chosen="rejected")


def test_metrics_are_means_over_pairs() -> None:
    totals = {name: one + two for (name, one), two in zip(preference_scores(2.0).items(), preference_scores(-900.0).values(), strict=True)}
    found = preference_metrics({**totals, "n": 5.0})
    assert (found["accuracy"], found["margin"]) == (0.5, -449.0)
    assert found["log_likelihood"] == pytest.approx(-(0.126928 + 900) / 2)


def test_the_trial_preferences_are_read_in_both_languages(shared_data: Path) -> None:
    for name in ("dpo_en_demo", "dpo_zh_demo"):
        files = RecordFiles.at((str(shared_data / f"finetune/instruct/{name}.json"),))
        assert survey(files, TASK).kept > 290
        with pytest.raises(RequestError, match=r"no column 'prompt', only conversations, chosen, rejected: .*--task.prompt"):
            survey(files, PreferenceTuning())
