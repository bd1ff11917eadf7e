"""Files that a unit writes: whole or not at all, and copied only where they have to be."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import LocalStore
from pipeline.workflow.unit import Unit


def unit_of(store: LocalStore) -> Unit:
    return Unit(store, "step/1", "phase", 0)


def draft_of(tmp_path: Path, text: str = "some text") -> Path:
    place = tmp_path / "draft"
    place.write_text(text)
    return place


def test_a_draft_is_the_file_itself_where_it_lies_on_the_same_file_system(tmp_path: Path) -> None:
    store, draft = LocalStore(str(tmp_path / "root")), draft_of(tmp_path)
    entry = unit_of(store).write("kind", draft, ".txt")
    assert Path(store.url, "step/1", entry.path).samefile(draft)


def test_a_draft_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, draft, link = LocalStore(str(tmp_path / "root")), draft_of(tmp_path), os.link

    def across(source: Path, target: Path) -> None:
        if Path(source) == draft:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", across)
    entry = unit_of(store).write("kind", draft, ".txt")
    place = Path(store.url, "step/1", entry.path)
    assert place.read_text() == "some text"
    assert not place.samefile(draft)
    assert os.listdir(place.parent) == [place.name]


def test_a_folder_that_may_be_written_to_again_is_copied(tmp_path: Path) -> None:
    store, folder = LocalStore(str(tmp_path / "root")), tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("old")
    unit = unit_of(store)
    unit.write_folder("kind", folder)
    (folder / "file").write_text("new")
    assert unit.local(unit.files[0]).read_text() == "old"


@pytest.mark.parametrize("there", ["some text", "damaged!!"])
def test_a_draft_takes_the_place_of_a_file_only_where_that_is_damaged(there: str, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "root"))
    entry = unit_of(store).write("kind", draft_of(tmp_path), ".txt")
    place = Path(store.url, "step/1", entry.path)
    place.unlink()
    place.write_text(there)
    inode = place.stat().st_ino
    again: Any = unit_of(store).write("kind", draft_of(tmp_path / "root"), ".txt")
    assert again == entry
    assert place.read_text() == "some text"
    assert (place.stat().st_ino == inode) == (there == "some text")
