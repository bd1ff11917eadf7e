"""Answers by their place in a text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer

from pipeline.finetune.base import Unfit
from pipeline.finetune.learner import open_learner
from pipeline.finetune.question_answering import Posed, QuestionAnswering, likeliest
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import RecordFiles
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from tests.finetune.conftest import ANIMALS, Family
from tests.finetune.recipes import finetune
from tests.finetune.test_finetune import answers, built

SMALL = Bert(dim=32, depth=2, heads=2)
FAMILIES = (
    SMALL,
    Llama(dim=32, depth=2, heads=2),
    GPT2(dim=32, depth=2, heads=2),
    Mixtral(dim=32, depth=2, heads=2, experts=4),
    T5(dim=32, depth=1, heads=2),
)
every_family = pytest.mark.parametrize("architecture", FAMILIES, ids=lambda architecture: type(architecture).__name__)


def asked(folder: Path, unanswerable: bool = False) -> Path:
    """Who jumped, or over what? JSON Lines of context, question and answers; some questions ask for what a text does not say."""
    rows = []
    for number, (size, animal, verb, place) in enumerate(
        (size, animal, verb, place)
        for size in ("small", "old", "quiet", "green")
        for animal in ANIMALS
        for verb in ("jumped", "looked", "sang")
        for place in ("river", "hill", "wall")
    ):
        text = f"The {size} {animal} {verb} over the {place}."
        question, answer = [("Who?", animal), ("Over what?", place)][number % 2]
        rows.append({"context": text, "question": question, "answers": [{"text": answer, "answer_start": text.index(answer)}]})
        if unanswerable:
            rows.append({"context": text, "question": "Why so?", "answers": []})
    path = folder / "animals.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@every_family
def test_every_family_learns_where_answers_stand_and_its_folder_answers_what_it_answered(
    architecture: Architecture, family: Family, tmp_path: Path
) -> None:
    _, checkpoint = built(finetune(family(architecture), asked(tmp_path), QuestionAnswering(), epochs=12), tmp_path)
    scores = checkpoint.facts["validation"]
    assert scores["exact_match"] > 0.8
    assert scores["f1"] >= scores["exact_match"]
    model = AutoModelForQuestionAnswering.from_pretrained(checkpoint.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    rows = answers(checkpoint)
    assert len(rows) == scores["n"] > 10
    for row in rows[:5]:
        posed, said = json.loads(row["row"]), json.loads(row["answer"])
        shown = tokenizer(posed["question"], posed["text"], return_tensors="pt", return_offsets_mapping=True)
        with torch.no_grad():
            logits = model(input_ids=shown["input_ids"], attention_mask=shown["attention_mask"])
        of_text = [place for place, part in enumerate(shown.sequence_ids(0)) if part == 1]
        allowed = [*of_text, 0 if shown.sequence_ids(0)[0] is None else len(shown["input_ids"][0]) - 1]
        begins, ends = (each[0, allowed].log_softmax(-1)[:-1] for each in (logits.start_logits, logits.end_logits))
        sums = (begins[:, None] + ends[None, :]).masked_fill(torch.ones(len(begins), len(begins)).tril(-1).bool(), -torch.inf)
        first, last = divmod(int(sums.argmax()), len(begins))
        spans = shown["offset_mapping"][0].tolist()
        assert posed["text"][spans[of_text[first]][0] : spans[of_text[last]][1]].strip() == said["answer"]
        assert posed["text"].startswith(said["answer"], said["begin"])
        assert float(sums.max().exp()) == pytest.approx(said["probability"], abs=1e-5)


@every_family
def test_what_a_checkpoint_learned_before_is_learned_from_on(architecture: Architecture, family: Family) -> None:
    folder = family(architecture)
    learner = open_learner(Reader(folder), QuestionAnswering(), None, 0.0, 0)
    body = getattr(learner.model, learner.model.base_model_prefix, learner.model).state_dict()
    before = {name: tensor for name, tensor in AutoModel.from_pretrained(folder).state_dict().items() if "pooler" not in name}
    assert before.keys() <= body.keys()
    assert all(torch.equal(tensor, body[name]) for name, tensor in before.items())


def test_questions_without_an_answer_are_learned_where_they_are_asked_for(family: Family, tmp_path: Path) -> None:
    step = finetune(family(SMALL), asked(tmp_path, unanswerable=True), QuestionAnswering(unanswerable=True), epochs=10)
    _, checkpoint = built(step, tmp_path)
    assert checkpoint.facts["validation"]["exact_match"] > 0.8
    for row in answers(checkpoint):
        posed, said = json.loads(row["row"]), json.loads(row["answer"])
        if not posed["answers"]:
            assert (said["answer"], said["begin"]) == ("", None)
    with pytest.raises(Unfit, match=r"^unanswerable$"):
        QuestionAnswering().row({"context": "The fox.", "question": "Why?", "answers": {"text": [], "answer_start": []}})


def test_how_many_windows_are_taken_at_once_changes_no_loss(family: Family, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (8, 2):
        step = finetune(family(SMALL), asked(tmp_path), QuestionAnswering(), epochs=0.5, micro_batch=micro_batch, context=24)
        losses.append([row["loss"] for row in built(step, tmp_path / str(micro_batch))[1].metrics()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("architecture", [SMALL, T5(dim=32, depth=1, heads=2)], ids=lambda each: type(each).__name__)
def test_a_text_that_does_not_fit_is_read_in_windows_whose_targets_are_its_answer(architecture: Architecture, family: Family) -> None:
    text = "The old goat looked over the hill. " * 5 + "The heron sang over the wall. " + "The mule jumped over the river. " * 5
    reader, task = Reader(family(architecture), context=32), QuestionAnswering()
    row = task.row({"context": text, "question": "Who sang?", "answers": {"text": ["heron"], "answer_start": [text.index("heron")]}})
    windows = task.shown(row, reader).windows
    learned = []
    for window in windows:
        assert len(window["input_ids"]) <= 32
        begin, end = int(window["begins"][0]), int(window["ends"][0])
        assert window["allowed"][begin] == window["allowed"][end] == 1
        learned.append(reader.tokenizer.decode(window["input_ids"][begin : end + 1]).strip())
    nothing = reader.tokenizer.decode(windows[0]["input_ids"][:1] if reader.begin else windows[0]["input_ids"][-1:])
    assert set(learned) == {"heron", nothing}


@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 2**32))
def test_no_span_is_likelier_than_the_one_that_is_found(count: int, longest: int, seed: int) -> None:
    posed = Posed(ids=[1] * (count + 4), offset=3, begin=7, end=7 + count, none=0)
    logits = np.random.default_rng(seed).normal(0, 3, (2, len(posed.ids))).astype(np.float32)
    found = likeliest(posed, logits, longest)
    begins, ends = (torch.tensor(each)[[0, *range(3, 3 + count)]].double().log_softmax(0)[1:] for each in logits)
    spans = [(first, last) for first in range(count) for last in range(first, min(count, first + longest))]
    worth = {(7 + first, 7 + last): float(begins[first] + ends[last]) for first, last in spans}
    assert found.score == pytest.approx(max(worth.values()), abs=1e-4)
    assert found.tokens is not None
    assert worth[found.tokens] == pytest.approx(max(worth.values()), abs=1e-4)


@pytest.mark.parametrize(
    ("answers_", "reason"),
    [
        (None, "no-answers"),
        ({"text": ["fox"], "answer_start": [3]}, "answer-not-at-its-place"),
        ({"text": ["fox"], "answer_start": [-4]}, "answer-not-at-its-place"),
        ({"text": ["fox"], "answer_start": [10**9]}, "answer-not-at-its-place"),
        ({"text": [""], "answer_start": [4]}, "answer-not-at-its-place"),
        ({"text": ["fox", "fox"], "answer_start": [4]}, "answers-are-not-squad"),
        ({"text": ["fox"]}, "answers-are-not-squad"),
        ("fox", "answers-are-not-squad"),
        (["fox"], "answers-are-not-squad"),
    ],
)
def test_a_record_that_cannot_be_learned_from_is_left_out_with_its_reason(answers_: Any, reason: str) -> None:
    with pytest.raises(Unfit, match=f"^{reason}$"):
        QuestionAnswering().row({"context": "The fox.", "question": "Who?", "answers": answers_})


def test_of_several_answers_the_first_that_stands_at_its_place_is_learned_and_all_count() -> None:
    pairs = [{"text": "goat", "answer_start": 0}, {"text": " fox", "answer_start": 3}, {"text": "The fox", "answer_start": 0}]
    row = QuestionAnswering().row({"context": "The fox.", "question": "Who?", "answers": pairs})
    assert row["place"] == [4, 7]
    assert row["answers"] == ["goat", " fox", "The fox"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_answer_of_xquad_is_at_its_place_and_covered_by_its_tokens(language: str, shared_data: Path, family: Family) -> None:
    path = shared_data / "finetune" / "xquad" / f"xquad.{language}.json"
    task, reader = QuestionAnswering(), Reader(family(T5(dim=32, depth=1, heads=2)))
    records = list(RecordFiles.at((str(path),), "squad").records())[::40]
    for record in records:
        row = task.row(record.values)  # type: ignore[union-attr]
        (window,) = task.shown(row, reader).windows
        begin, end = int(window["begins"][0]), int(window["ends"][0])
        assert row["text"][slice(*row["place"])] in reader.tokenizer.decode(window["input_ids"][begin : end + 1])
