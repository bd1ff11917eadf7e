"""What is saved lies in a local folder first, and what killed processes left of such folders does not pile up."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.storage import Store
from pipeline.train.scratch import scratch
from tests.train.test_checkpoint import checkpoints, files, resumed, save

__all__ = ["checkpoints"]
KILLED = """
import os
from pipeline.train.scratch import scratch
with scratch() as folder:
    (folder / "large").write_text("x")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_a_folder_goes_when_it_is_left(temporary: Path) -> None:
    with scratch() as folder:
        (folder / "file").write_text("x")
        assert [place.name for place in folder.iterdir()] == ["file"]
    assert not list(temporary.iterdir())


def test_a_folder_of_a_killed_process_goes_at_the_next_save_and_one_in_use_stays(temporary: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=Path(__file__).parents[2], check=False).returncode == -9
    (left,) = temporary.iterdir()
    with scratch() as used:
        assert not left.exists()
        with scratch():
            assert used.exists()


def test_a_folder_of_another_kind_is_left_alone(temporary: Path) -> None:
    (temporary / "millrace-save-else").mkdir()
    (temporary / "other").mkdir()
    with scratch():
        assert {place.name for place in temporary.iterdir()} > {"millrace-save-else", "other"}


def test_what_a_killed_process_was_writing_into_a_root_goes_with_its_checkpoint(checkpoints, store: Store) -> None:  # type: ignore[no-untyped-def]
    save(checkpoints, 1)
    draft = files(store, 1)[0].parent / ".draft-0"
    draft.write_text("half of a large file")
    save(checkpoints, 2, 3)
    assert not draft.exists()
    assert not list(Path(store.url, checkpoints.folder).glob("step-00000001/**/*"))
    assert resumed(checkpoints)[0] == "after 3"
