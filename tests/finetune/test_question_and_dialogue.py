"""Written answers to questions, and turns of dialogues."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.finetune.base import Answered, FinetuneTask, Unfit
from pipeline.finetune.dialogue_response import DialogueResponse
from pipeline.finetune.examples import survey
from pipeline.finetune.generative_question_answering import GenerativeQuestionAnswering
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import Layout, RecordFiles
from pipeline.finetune.summarization import Summarization
from pipeline.finetune.translation import Translation
from pipeline.metrics.totals import summed
from pipeline.models.llama import Llama
from pipeline.models.t5 import T5
from tests.finetune.conftest import Family
from tests.finetune.recipes import finetune
from tests.finetune.test_finetune import answers, built

ASKED = GenerativeQuestionAnswering(prefix="Q:", between=" T:", separator="\nA:", max_new_tokens=8)
RECORD = {"question": "who?", "context": "A mule sang.", "answers": {"text": ["A mule", "mule"], "answer_start": [0, 2]}}


@pytest.mark.parametrize(
    ("value", "answers"),
    [({"text": ["a", " b "], "answer_start": [0, 1]}, ["a", "b"]), (["a", ""], ["a"]), ("a", ["a"]), (7, ["7"])],
)
def test_answers_are_read_as_squad_a_list_or_one_text_has_them(value: Any, answers: list[str]) -> None:
    assert ASKED.row({**RECORD, "answers": value})["answers"] == answers


@pytest.mark.parametrize("value", [{"text": []}, [], [None], ""])
def test_a_question_without_an_answer_is_left_out(value: Any) -> None:
    with pytest.raises(Unfit):
        ASKED.row({**RECORD, "answers": value})


def test_a_question_is_shown_whole_and_its_text_is_cut(family: Family) -> None:
    reader = Reader(family(Llama(dim=32, depth=2, heads=2)))
    row = ASKED.row({**RECORD, "context": "A mule sang. " * 50})
    shown = reader.tokenizer.decode(ASKED.prompt(ASKED.exchanges(row)[0], reader).ids, skip_special_tokens=True)
    assert shown.startswith("Q:who? T:A mule")
    assert shown.endswith("\nA:")


def test_an_answer_counts_as_its_best_match_over_all_right_ones() -> None:
    row = ASKED.row(RECORD)
    said = [{"text": text, "log_likelihood": -1.0, "tokens": 2} for text in ("The mule!", "a grey mule")]
    metrics = ASKED.metrics(summed([ASKED.score(Answered(row, each)) for each in said]))
    assert metrics["exact_match"] == 0.5
    assert metrics["f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["log_likelihood"] == -0.5


def test_every_turn_is_learned_from_the_last_ones_before_it_and_the_last_one_is_scored(family: Family, tmp_path: Path) -> None:
    task = DialogueResponse(max_new_tokens=8)
    reader = Reader(family(Llama(dim=32, depth=2, heads=2)))
    row = task.row({"dialogue": "A: one\n\nB: two\n  A:  three \n"})
    assert row == {"turns": ["A: one", "B: two", "A: three"]}
    exchanges = task.exchanges(row)
    assert [(each.source, each.target) for each in exchanges] == [("A: one", "B: two"), ("A: one\nB: two", "A: three")]
    assert len(task.shown(row, reader).windows) == 2
    long = task.row({"dialogue": ["A: one"] * 40 + ["B: two", "A: three"]})
    ids = task.prompt(task.exchanges(long)[-1], reader).ids
    assert reader.tokenizer.decode(ids, skip_special_tokens=True).endswith("A: one\nB: two\n")
    assert len(ids) == reader.room - 8
    file = tmp_path / "dialogues.jsonl"
    file.write_text("".join(json.dumps({"dialogue": ["a?", f"b{number}", "a!"]}) + "\n" for number in range(24)))
    _, checkpoint = built(finetune(family(T5(dim=32, depth=1, heads=2)), file, task, epochs=1), tmp_path)
    scores = checkpoint.facts["validation"]
    assert 0 <= scores["rouge1"] <= 1
    assert len(answers(checkpoint)) == scores["n"]


@pytest.mark.parametrize(("value", "reason"), [("A: alone", "no-answer"), (["a", 7], "dialogue-has-turns"), (None, "no-dialogue")])
def test_an_odd_dialogue_has_its_reason(value: Any, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        DialogueResponse().row({"dialogue": value})


@pytest.mark.parametrize(
    ("task", "files", "layout", "columns"),
    [
        (Translation(), ("multi30k/val.de.gz", "multi30k/val.en.gz"), "lines", ("source", "target")),
        (Summarization(text="dialogue"), ("dialogsum/dialogsum.dev.jsonl",), "table", ()),
        (DialogueResponse(), ("dialogsum/dialogsum.dev.jsonl",), "table", ()),
        (GenerativeQuestionAnswering(), ("xquad/xquad.en.json",), "squad", ()),
        (GenerativeQuestionAnswering(language="zh"), ("xquad/xquad.zh.json",), "squad", ()),
    ],
)
def test_well_known_sets_are_read_whole(
    task: FinetuneTask, files: tuple[str, ...], layout: Layout, columns: tuple[str, ...], shared_data: Path
) -> None:
    folder = shared_data / "finetune"
    kept = survey(RecordFiles.at([str(folder / file) for file in files], layout, columns), task).kept
    assert kept == {"multi30k": 1014, "dialogsum": 500, "xquad": 1190}[files[0].split("/")[0]]


def test_a_set_without_the_columns_names_those_found(shared_data: Path) -> None:
    files = RecordFiles.at([str(shared_data / "finetune/dialogsum/dialogsum.dev.jsonl")])
    with pytest.raises(RequestError, match="has no column 'document', only fname, dialogue, summary, topic: name the right one by --task"):
        survey(files, Summarization())
