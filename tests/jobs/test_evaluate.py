"""Evaluating by a command: tasks in words or as files, one checkpoint or several."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.comparison import show_comparison
from jobs.tasks import TASKS, described, task_from, tasks_from, tasks_help, word_for
from jobs.words import settings_of
from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.blimp import Blimp
from pipeline.evaluate.cloze import Cloze
from pipeline.evaluate.counterfactual_pairs import CounterfactualPairs
from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.task_file import TaskFile
from tests.evaluate.files import QUESTIONS, written
from tests.jobs.running import job

ALONE = ("--cluster", "none", "--json")
HEADER = {"task": "multiple-choice", "name": "mine", "prompt": "{query}\nSo:", "limit": 3, "unconditional": None}


@pytest.fixture
def file(tmp_path: Path) -> TaskFile:
    return written(tmp_path, QUESTIONS)


def test_a_word_is_the_task_that_a_recipe_would_name(file: TaskFile) -> None:
    at = file.location
    for word, task in {
        "perplexity": Perplexity(),
        f"multiple-choice:file={at}:shots=2:seed=3:by=about": MultipleChoice(file=file, shots=2, seed=3, by="about"),
        f"multiple-choice:file={at}:prompt={{query}}\\nA::unconditional=none": MultipleChoice(
            file=file, prompt="{query}\nA:", unconditional=None
        ),
        f"cloze:file={at}:shots-from={at}:shots=1:name=words": Cloze(file=file, shots=1, shots_from=file, called="words"),
        f"blimp:folder={at}": Blimp(file=file),
        f"counterfactual-pairs:file={at}:groups=he,she,they": CounterfactualPairs(file=file, groups=("he", "she", "they")),
    }.items():
        assert task_from(word) == task
        assert task_from(word_for(task)) == task


def test_a_file_that_begins_with_what_it_is_is_a_task_by_itself(tmp_path: Path) -> None:
    location = written(tmp_path, [HEADER, *QUESTIONS], "my-task.jsonl").location
    (task,) = tasks_from([location])
    assert isinstance(task, MultipleChoice)
    assert (task.name, task.prompt, task.limit, task.unconditional) == ("mine", "{query}\nSo:", 3, None)
    assert [row.columns for row in task.rows()] == list(QUESTIONS[:3])
    assert task_from(word_for(task)) == task


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"name": "mine"}, ["does not say what task it is", "multiple-choice"]),
        ({"task": "nonsense"}, ["does not say what task it is"]),
        ({"task": ["cloze"]}, ["does not say what task it is"]),
        ({"task": "cloze", "shots": "few"}, ["cloze:shots is 'few'", "a whole number"]),
        ({"task": "cloze", "colour": 1}, ["cloze has no setting 'colour'"]),
    ],
)
def test_a_header_that_says_nothing_of_use_is_refused(tmp_path: Path, header: dict[str, object], words: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        described(written(tmp_path, [header, *QUESTIONS]).location)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("nonsense", ["there is no task 'nonsense'", "multiple-choice", "perplexity"]),
        ("multiple-choice", ["multiple-choice needs to be told file", "multiple-choice:file=…"]),
        ("cloze:file=no/such.jsonl", ["there is no file no/such.jsonl"]),
        ("perplexity:limit=3", ["perplexity has no setting 'limit'"]),
        ("cloze:shots=few", ["cloze:shots is 'few'"]),
        ("cloze:shots=1:shots=2", ["given twice"]),
    ],
)
def test_what_is_no_task_is_refused_with_what_there_is(word: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        task_from(word)
    assert all(part in str(refused.value) for part in words)
    assert "\n" not in str(refused.value)


@given(st.text(st.characters(exclude_characters="\0")))
def test_rubbish_is_a_task_or_a_wrong_request(word: str) -> None:
    with suppress(RequestError):
        assert isinstance(task_from(word), EvalTask)


def test_help_names_every_task_and_setting() -> None:
    for name, kind in TASKS.known.items():
        assert f"{name}" in tasks_help()
        assert all(f"{setting.replace('_', '-')}=" in tasks_help() for setting in settings_of(kind))


def test_a_difference_beyond_its_interval_has_a_star() -> None:
    scores = {
        address: {"few": {"accuracy": value, "accuracy_low": 0, "accuracy_high": 1, "n": 9}} for address, value in (("a", 0.5), ("b", 1))
    }
    row = {"task": "few", "metric": "accuracy", "checkpoint": "b", "difference": 0.5, "p": 0.01, "high": 0.9}
    assert "+0.5 [+0.1, +0.9] p 0.01*" in "\n".join(show_comparison(scores, [{**row, "low": 0.1}]))
    assert "*" not in "\n".join(show_comparison(scores, [{**row, "low": -0.1}]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model in its root, and the same model as a folder of its own."""
    place = tmp_path_factory.mktemp("evaluate")
    small = ("--token-budget", "1024", "--vocab-size", "300", "--context", "32")
    (place / "text").mkdir()
    for number in range(40):
        (place / "text" / f"{number}.txt").write_text(f"The old fox number {number} jumped over the heron and sang of {number * 7} songs.")
    result = job("pretrain", "tiny", "--sources", "text", *small, *ALONE, folder=place).result
    shutil.copytree(result["checkpoint"], place / "copied")
    written(place, [HEADER, *QUESTIONS], "my-task.jsonl")
    return place


@pytest.mark.slow
def test_one_checkpoint_is_scored_on_tasks_of_all_kinds(folder: Path) -> None:
    result = job("evaluate", "--tasks", "my-task.jsonl", "perplexity", *ALONE, folder=folder).result
    assert result["checkpoint"].startswith("pretrain/")
    assert {task: metrics["n"] for task, metrics in result["scores"].items()}["mine"] == 3
    assert result["scores"]["perplexity"]["loss_low"] < result["scores"]["perplexity"]["loss"] < result["scores"]["perplexity"]["loss_high"]
    assert json.dumps(result)


@pytest.mark.slow
def test_the_same_model_in_a_folder_scores_the_same_and_does_not_differ(folder: Path) -> None:
    address = job("evaluate", "--tasks", "my-task.jsonl", *ALONE, folder=folder).result["checkpoint"]
    result = job("evaluate", "--checkpoints", address, "copied", "--tasks", "my-task.jsonl", *ALONE, folder=folder).result
    first, second = result["checkpoints"].values()
    assert first == second == result["scores"]
    assert {row["metric"] for row in result["differences"]} >= {"accuracy", "brier"}
    assert all((row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1) for row in result["differences"])


@pytest.mark.slow
def test_a_folder_has_no_held_out_documents_but_can_be_asked_about_others(folder: Path) -> None:
    refused = job("evaluate", "--checkpoint", "copied", *ALONE, folder=folder)
    assert (refused.code, refused.stdout) == (2, "")
    assert "--sources" in refused.error
    scores = job("evaluate", "--checkpoint", "copied", "--sources", "text", *ALONE, folder=folder).result["scores"]
    assert scores["perplexity"]["n"] == 40
