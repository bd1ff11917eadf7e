"""Checkpoints to resume from: whole or passed over, never half opened."""

import logging
from pathlib import Path

import pytest

from pipeline.storage import Store
from pipeline.train.checkpoint import Checkpoints, Resumed
from tests.train.tiny import Lone


class Diary:
    """An engine whose whole state is a text."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def save(self, folder: Path) -> None:
        (folder / "deep").mkdir()
        (folder / "deep" / "diary.txt").write_text(self.text)

    def load(self, folder: Path) -> None:
        self.text = (folder / "deep" / "diary.txt").read_text()


@pytest.fixture
def checkpoints(store: Store) -> Checkpoints:
    return Checkpoints(store, "pretrain/x/work/checkpoints/basis", "1 worker with Diary()", Lone())


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.commit(step, [checkpoints.write(Diary(f"after {step}").save, step, f"history of {step}")])


def resumed(checkpoints: Checkpoints) -> tuple[str, Resumed]:
    engine = Diary()
    found = checkpoints.resume(engine)  # type: ignore[arg-type]
    return engine.text, found


def files(store: Store, step: int) -> list[Path]:
    return [Path(store.url, entry.path) for entry in store.list(f"pretrain/x/work/checkpoints/basis/step-{step:08d}")]


def test_where_there_is_none_a_run_begins_at_the_first_step(checkpoints: Checkpoints) -> None:
    assert resumed(checkpoints) == ("", Resumed(0, ""))


def test_the_newest_is_gone_on_from_with_its_history(checkpoints: Checkpoints) -> None:
    save(checkpoints, 90, 100)
    place = f"{checkpoints.folder}/step-00000100"
    assert resumed(checkpoints) == ("after 100", Resumed(100, "history of 100", place))


def test_two_are_kept(checkpoints: Checkpoints, store: Store) -> None:
    save(checkpoints, 1, 2, 3, 4)
    assert [bool(files(store, step)) for step in (1, 2, 3, 4)] == [False, False, True, True]


@pytest.mark.parametrize("damage", [b"", b"after 9", b"after 21"])
def test_a_damaged_one_is_passed_over_with_a_word(
    checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    save(checkpoints, 10, 20)
    (diary,) = [place for place in files(store, 20) if place.name == "diary.txt"]
    diary.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert resumed(checkpoints)[0] == "after 10"
    assert "the checkpoint of 20 steps is damaged" in caplog.text


@pytest.mark.parametrize("lost", ["manifest.json", "diary.txt", "metrics.jsonl"])
def test_a_half_one_is_passed_over_with_a_word(checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture, lost: str) -> None:
    save(checkpoints, 10, 20)
    (gone,) = [place for place in files(store, 20) if place.name == lost]
    gone.unlink()
    with caplog.at_level(logging.WARNING):
        assert resumed(checkpoints)[0] == "after 10"
    assert "the checkpoint of 20 steps is" in caplog.text


def test_a_garbled_manifest_is_passed_over(checkpoints: Checkpoints, store: Store) -> None:
    save(checkpoints, 10, 20)
    (manifest,) = [place for place in files(store, 20) if place.name == "manifest.json"]
    manifest.write_bytes(manifest.read_bytes()[:40])
    assert resumed(checkpoints)[0] == "after 10"


def test_a_step_that_was_passed_over_can_be_saved_again(checkpoints: Checkpoints, store: Store) -> None:
    save(checkpoints, 10, 20)
    (diary,) = [place for place in files(store, 20) if place.name == "diary.txt"]
    diary.write_bytes(b"")
    resumed(checkpoints)
    save(checkpoints, 20)
    assert resumed(checkpoints)[0] == "after 20"


def test_a_gang_of_another_layout_goes_on_and_says_so(checkpoints: Checkpoints, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    save(checkpoints, 10)
    other = Checkpoints(store, checkpoints.folder, "2 workers with Diary()", Lone())
    with caplog.at_level(logging.INFO):
        assert resumed(other)[0] == "after 10"
    assert "step-00000010 was left by 1 worker with Diary(), and goes on with 2 workers with Diary()" in caplog.text
