"""Asking why as a person does it: a command, a page, the same page again, and errors on one line."""

from pathlib import Path

import pytest

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.jobs.running import job
from tests.train.tiny import pretrain


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root that holds a checkpoint."""
    folder = tmp_path_factory.mktemp("place")
    run([pretrain(steps=3)], open_store(str(folder / "runs")), InlineExecutor())
    return folder


def test_a_page_says_why_and_the_same_command_writes_the_same_page(place: Path) -> None:
    asked = ("attribute", "--prompt", "The old 狐", "--target", " fox", "--points", "16")
    first = job(*asked, "--json", folder=place).result
    page = place / first["page"]
    before = page.read_bytes()
    assert "Why did it say this?" in before.decode()
    assert first["read"][-3:] == ["狐 1/3", "狐 2/3", "狐 3/3"]
    for answer in first["answers"]:
        owed = sum(token["nats"] for token in answer["importance"])
        assert owed + answer["gap"] == pytest.approx(answer["log_probability"] - answer["baseline"], abs=1e-4)
    again = job(*asked, folder=place)
    assert page.read_bytes() == before
    assert first["page"] in again.stdout
    assert len(again.stdout.splitlines()) == len(first["answers"]) + 1


WRONG = {
    "a prompt beyond the context": (["--prompt", "The fox " * 90], ["at most 32", "shorten"]),
    "no points": (["--points", "0"], ["points is 0"]),
    "an empty target": (["--target", ""], ["target is empty"]),
    "a checkpoint that is not there": (["--checkpoint", "pretrain/0000"], ["pretrain/0000"]),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_told_and_leaves_nothing(wrong: str, place: Path) -> None:
    arguments, words = WRONG[wrong]
    before = sorted(place.rglob("*"))
    done = job("attribute", *arguments, folder=place)
    assert (done.code, done.stdout) == (2, "")
    assert all(word in done.error for word in words), done.error
    assert sorted(place.rglob("*")) == before


def test_a_plan_says_which_checkpoint_would_be_asked(place: Path) -> None:
    done = job("attribute", "--plan", folder=place)
    assert done.code == 0
    assert "pretrain/" in done.stdout
