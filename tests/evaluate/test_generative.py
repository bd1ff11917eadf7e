"""Answers in words, from a file of questions to exact match and F1."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.generative import Generative, Question, QuestionFile
from pipeline.evaluate.written import Texts, Writing
from pipeline.inference.generation import Sampling, generate
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.evaluate.conftest import Trained

ROWS: list[dict[str, Any]] = [
    {"context": "The fox sang.", "question": "Who sang?", "answers": ["the fox", "fox"]},
    {"context": "天地玄黄。", "question": "天地如何？", "answers": "玄黄"},
    {"context": "The hill.", "question": "Which river?", "answers": []},
    {"context": "A wall.", "question": "What?", "answers": {"text": ["a wall"], "answer_start": [0]}},
]
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": row["context"],
                    "qas": [
                        {"id": str(number), "question": row["question"], "answers": [{"text": "x", "answer_start": 0}, {"text": "y"}]},
                        {"id": f"{number}b", "question": "None?", "is_impossible": True},
                    ],
                }
                for number, row in enumerate(ROWS)
            ],
        }
    ],
}


def task(folder: Path, rows: Any = ROWS, **fields: Any) -> Generative:
    place = folder / "asked.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Generative(file=QuestionFile.at(str(place)), **fields)


def example(folder: Path) -> Generative:
    return task(folder, shots=1)


def answer(question: Question) -> Texts:
    return Texts((question.right[0] + " or so",), truncated=True)


def asked(task: Generative) -> list[Question]:
    return list(task.examples(NoDocuments()))


def test_a_template_makes_the_prompts_and_right_answers_come_in_any_usual_form(tmp_path: Path) -> None:
    questions = asked(task(tmp_path, prompt="{context} {question}\n="))
    assert questions[0].prompt == "The fox sang. Who sang?\n="
    assert [question.right for question in questions] == [("the fox", "fox"), ("玄黄",), ("",), ("a wall",)]


def test_questions_are_found_in_a_file_in_squads_format(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD))
    questions = asked(Generative(file=QuestionFile.at(str(tmp_path / "squad.json")), prompt="{title}: {context} {question}"))
    assert [question.right for question in questions] == [("x", "y"), ("",)] * len(ROWS)
    assert questions[0].prompt == "T: The fox sang. Who sang?"


def test_answered_questions_stand_before_a_question_but_never_itself(tmp_path: Path) -> None:
    once, again, other = (asked(task(tmp_path, shots=2, seed=seed)) for seed in (0, 0, 1))
    assert once == again != other
    for row, question in zip(ROWS, once, strict=True):
        assert question.prompt.count("Answer:") == 3
        assert question.prompt.count(row["question"]) == 1
        assert question.prompt.endswith(f"{row['context']}\nQuestion: {row['question']}\nAnswer:")


def test_a_right_answer_is_worth_one_and_an_answer_to_what_has_none_nothing(tmp_path: Path) -> None:
    asking = task(tmp_path)
    questions = asked(asking)
    assert asking.score(questions[0], Texts((" The fox!",))) == {"exact_match": 1, "f1": 1, "truncated": 0}
    assert asking.score(questions[2], Texts((" The hill",)))["f1"] == 0
    assert asking.score(questions[2], Texts((" ",), truncated=True)) == {"exact_match": 1, "f1": 1, "truncated": 1}


def test_an_evaluation_asks_the_model_and_keeps_its_metrics(trained: Trained, tmp_path: Path) -> None:
    (written,) = generate(trained.folder, ["The small"], Sampling(max_new_tokens=6, temperature=0))
    rows = [{"q": "The small", "a": written[0].split("\n")[0]}, {"q": "The old", "a": "nothing of the kind"}]
    asking = task(tmp_path, rows, prompt="{q}", answers="a", max_new_tokens=6, called="own")
    step = Evaluate(checkpoint=trained.step, tasks=(asking,))
    scores = run([step], trained.store, InlineExecutor()).manifests[step.address].facts["scores"]["own"]
    assert scores["exact_match"] == 0.5
    assert 0.5 <= scores["f1"] < 1
    assert scores["f1_low"] <= scores["f1"] <= scores["f1_high"]
    assert (scores["truncated"], scores["n"]) == (0, 2)


def test_a_prompt_that_is_too_long_keeps_its_end_and_leaves_room_for_the_answer(trained: Trained) -> None:
    writing = Writing[Question](trained.folder, Sampling(max_new_tokens=8, temperature=0), ())
    whole = Question("The old fox " * 40 + "jumped", ())
    tokens = writing.tokenizer(whole.prompt)["input_ids"]
    ((_, answer),) = writing.answers([whole])
    assert answer.truncated
    kept = [writing.model.config.eos_token_id, *tokens[-(32 - 8 - 1) :]]
    ids = writing.model.generate(
        writing.model.dummy_inputs["input_ids"].new_tensor([kept]),
        attention_mask=writing.model.dummy_inputs["input_ids"].new_ones(1, len(kept)),
        max_new_tokens=8,
        do_sample=False,
    )
    assert answer.texts == (writing.tokenizer.decode(ids[0, len(kept) :], skip_special_tokens=True),)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is not there": ({"prompt": "{passage}"}, r"asked.jsonl#\d has no column 'passage': choose from 'context'"),
    "answers that are not there": ({"answers": "gold"}, r"no column 'gold'"),
    "an empty stop": ({"stop": ("",)}, "stop of asked has an empty text"),
    "no length": ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    "too many shots": ({"shots": 4}, "shots of asked is 4"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_refused_before_a_model_is_opened(wrong: str, tmp_path: Path) -> None:
    fields, words = WRONG[wrong]
    with pytest.raises(RequestError, match=words):
        task(tmp_path, **fields).check()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"context": "x", "question": "y", "answers": [[1]]}], "as answers: name a column with a text"),
        ([{"context": "x", "question": "y", "answers": None}], "as answers: name a column with a text"),
        ([{"data": [{"paragraphs": [{"qas": [{"question": "y"}]}]}]}], "is not in SQuAD's format"),
        ([{"data": [{"paragraphs": 3}]}], "is not in SQuAD's format"),
        ([{"data": [{"paragraphs": []}]}], "holds no questions"),
    ],
)
def test_a_file_that_holds_no_questions_of_the_kind_is_refused(rows: list[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=words):
        task(tmp_path, rows).check()


@pytest.mark.parametrize(("language", "limit"), [("en", 1190), ("zh", 1190)])
def test_the_right_answers_of_a_real_benchmark_are_worth_one(shared_data: Path, language: Any, limit: int) -> None:
    file = QuestionFile.at(str(shared_data / f"finetune/xquad/xquad.{language}.json"))
    asking = Generative(file=file, language=language)
    questions = asked(asking)
    assert len(questions) == limit
    assert all(asking.score(question, Texts((f" {question.right[-1]}",)))["exact_match"] == 1 for question in questions)
