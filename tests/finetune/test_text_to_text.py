"""Tasks whose answer is a text."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers knows the LSTM by this import
from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, FinetuneTask, Unfit
from pipeline.finetune.fitting import fitted
from pipeline.finetune.lora import Lora
from pipeline.finetune.reader import Reader
from pipeline.finetune.summarization import Summarization
from pipeline.finetune.text_to_text import TOO_LONG
from pipeline.finetune.translation import Translation
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.train.schedule import Schedule
from tests.finetune.conftest import Family
from tests.finetune.recipes import finetune
from tests.finetune.stopping import whole_and_stopped
from tests.finetune.test_finetune import answers, built

SMALL, READS_AND_WRITES = Llama(dim=32, depth=2, heads=2), T5(dim=32, depth=1, heads=2)
WORDS = {"fox": "Fuchs", "heron": "Reiher", "goat": "Ziege", "carp": "Karpfen", "mule": "Maultier", "hare": "Hase"}
TASK = Translation(prefix="de: ", separator=">", language="de", max_new_tokens=16)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Animals in English and German."""
    path = tmp_path_factory.mktemp("pairs") / "animals.jsonl"
    rows = [{"source": f"{word} {number}", "target": WORDS[word]} for number in range(20) for word in WORDS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "architecture",
    [SMALL, GPT2(dim=32, depth=2, heads=2), Mixtral(dim=32, depth=2, heads=2, experts=4), Lstm(dim=32, depth=1), READS_AND_WRITES],
    ids=lambda architecture: type(architecture).__name__,
)
def test_every_family_that_writes_learns_to_and_its_folder_writes_what_it_wrote(
    architecture: Architecture, family: Family, pairs: Path, tmp_path: Path
) -> None:
    step = finetune(family(architecture), pairs, TASK, epochs=10, schedule=Schedule(peak=1e-2, warmup=0.1, floor=0.0, decay="linear"))
    _, checkpoint = built(step, tmp_path)
    scores = checkpoint.facts["validation"]
    looks = [row["validation"]["log_likelihood"] for row in checkpoint.metrics() if "validation" in row]
    assert scores["log_likelihood"] == pytest.approx(max(looks), abs=1e-5)
    assert max(looks) > looks[0] + 0.5
    assert 0 <= scores["bleu_low"] <= scores["bleu"] <= scores["bleu_high"] <= 100
    assert scores["chrf"] > 20
    assert checkpoint.facts["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|")
    opener = TASK.opener(Reader(checkpoint.model).kind)
    words = (checkpoint.model / "README.md").read_text()
    assert f"from transformers import {opener}" in words
    assert ("\nde: …\n" if architecture is READS_AND_WRITES else "\nde: …>\n") in words
    model = getattr(transformers, opener).from_pretrained(checkpoint.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    for row in answers(checkpoint)[:6]:
        source = json.loads(row["row"])["source"]
        shown = tokenizer(f"de: {source}" + ("" if architecture is READS_AND_WRITES else ">"), return_tensors="pt")
        asked = {name: shown[name] for name in ("input_ids", "attention_mask")}
        written = model.generate(**asked)[0][0 if architecture is READS_AND_WRITES else shown["input_ids"].shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == json.loads(row["answer"])["text"]


@pytest.mark.parametrize("architecture", [SMALL, READS_AND_WRITES], ids=["decoder", "encoder-decoder"])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    architecture: Architecture, family: Family, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = finetune(family(architecture), pairs, TASK, dropout=0.1, epochs=1.5, save_every=4, look_every=5)
    both = whole_and_stopped(step, tmp_path, monkeypatch, (11,))
    whole, stopped = both.files()
    assert whole == stopped


@pytest.mark.parametrize("architecture", [SMALL, READS_AND_WRITES], ids=["decoder", "encoder-decoder"])
def test_adapters_learn_to_write_too(architecture: Architecture, family: Family, pairs: Path, tmp_path: Path) -> None:
    _, checkpoint = built(finetune(family(architecture), pairs, TASK, lora=Lora(rank=4), epochs=2), tmp_path)
    assert checkpoint.facts["loss"]["last"] < checkpoint.facts["loss"]["first"]
    assert checkpoint.facts["trained_parameters"] < checkpoint.facts["parameters"] / 2


@pytest.mark.parametrize("architecture", [SMALL, READS_AND_WRITES], ids=["decoder", "encoder-decoder"])
def test_a_loss_is_the_mean_over_the_targets_tokens_and_their_end_whatever_stands_beside_it(
    architecture: Architecture, family: Family
) -> None:
    from pipeline.finetune.learner import open_learner
    from pipeline.finetune.losses import losses_of

    reader = Reader(family(architecture))
    model = open_learner(reader, TASK, None, 0.0, 0).model.eval()
    rows = [{"source": "12 fox", "target": "12 Fuchs"}, {"source": "a mule", "target": "M"}]
    windows = [TASK.shown(row, reader).windows[0] for row in rows]
    with torch.no_grad():
        together = losses_of(TASK, model, windows, reader.padding)
        for window, loss in zip(windows, together, strict=True):
            assert [label for label in window["labels"] if label != IGNORED][-1] == reader.stop
            own = {name: torch.tensor([window[name]]) for name in TASK.inputs}
            assert loss == pytest.approx(model(**own).loss.item(), abs=1e-5)  # as transformers counts it


@pytest.mark.parametrize("side", ["begin", "end"])
@settings(max_examples=60, deadline=None)
@given(text=st.text("ab é今 \n😀", max_size=40), room=st.integers(1, 30))
def test_a_text_that_does_not_fit_is_cut_at_its_side_and_encoded_as_one_with_what_stands_around_it(
    text: str, room: int, side: Any, tokenizer: Path, family: Family
) -> None:
    reader = Reader(family(SMALL))
    shown = fitted(reader, "Q: ", text, "\nA: ", room, side)
    whole = reader.pieces(f"Q: {text}\nA: ").ids
    assert len(shown.ids) <= room
    assert shown.truncated == (len(whole) > room)
    if not shown.truncated:
        assert shown.ids == whole
    elif len(reader.pieces("Q: \nA: ").ids) <= room:
        parts = [text[:length] if side == "end" else text[len(text) - length :] for length in range(len(text))]
        assert shown.ids in [reader.pieces(f"Q: {part}\nA: ").ids for part in parts]


def test_a_decoders_source_leaves_room_for_an_answer_and_a_target_is_whole_or_left_out(family: Family) -> None:
    reader = Reader(family(SMALL))
    (short,) = TASK.shown({"source": "z" * 200, "target": "abc"}, reader).windows
    labels = list(short["labels"])
    assert labels.count(IGNORED) <= reader.room - TASK.max_new_tokens
    assert labels[-1] == reader.stop
    with pytest.raises(Unfit, match=TOO_LONG):
        TASK.shown({"source": "a", "target": "z" * 200}, reader)
    wide = Translation(max_new_tokens=500)
    assert wide.answer_room(reader) == reader.room // 2
    assert len(wide.prompt(wide.exchanges({"source": "z" * 200, "target": "a"})[0], reader).ids) <= reader.room // 2


def test_an_encoder_decoders_target_takes_nothing_from_its_source(family: Family) -> None:
    reader = Reader(family(READS_AND_WRITES), (), 40)
    (window,) = TASK.shown({"source": "zq" * 100, "target": "abc"}, reader).windows
    assert len(window["input_ids"]) == 40
    assert window["input_ids"][-1] == window["labels"][-1] == reader.stop


def test_rows_whose_target_does_not_fit_are_counted_and_what_is_written_of_them_is_scored(
    family: Family, pairs: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.jsonl"
    odd = [json.dumps({"source": f"fox {number}", "target": "long " * 60}) + "\n" for number in range(12)]
    long.write_text(pairs.read_text() + "".join(odd))
    step = finetune(family(SMALL), long, TASK, epochs=0.2)
    store, checkpoint = built(step, tmp_path)
    from pipeline.workflow.unit import open_artifact

    facts = open_artifact(store, step.windows).facts
    assert facts["read"] == facts["kept"] + sum(facts["dropped"].values()) == 132
    assert facts["dropped"][TOO_LONG] > 0
    scores, unlikely = checkpoint.facts["validation"], [row for row in answers(checkpoint) if "tokens" not in row["answer"]]
    assert facts["dropped"]["held-out"] == scores["n"]
    assert scores["fit"] == 1 - len(unlikely) / scores["n"]
    assert 0 < len(unlikely) == sum("long" in row["row"] for row in answers(checkpoint))
    assert all("text" in json.loads(row["answer"]) for row in unlikely)


def test_a_model_that_only_reads_is_refused(family: Family) -> None:
    with pytest.raises(RequestError, match="which cannot learn translation"):
        Reader(family(Bert(dim=32, depth=2, heads=2))).check(TASK)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_new_tokens": 0}, "task.max_new_tokens is 0"),
        ({"language": "German"}, "task.language is 'German': use a code"),
        ({"source": "text", "target": "text"}, "one column for two things"),
    ],
)
def test_a_wrong_recipe_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Translation(**fields)


@pytest.mark.parametrize(
    ("task", "record", "reason"),
    [
        (TASK, {"source": "a"}, "no-target"),
        (TASK, {"source": " ", "target": "b"}, "empty-source"),
        (TASK, {"source": ["a"], "target": "b"}, "source-is-no-text"),
        (Summarization(), {"document": "a", "summary": ""}, "empty-summary"),
    ],
)
def test_an_odd_record_has_its_reason(task: FinetuneTask, record: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        task.row(record)
