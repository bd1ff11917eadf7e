"""Catalogues of listed files: as a sorted list would be, however many there are, and without an object for each."""

import gc
import os
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.sources import catalogue, listing, matching, rows
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.matching import matched

characters = st.sampled_from(["a", "b", ".", "/", "é", "文", "\uff01", "\U0001f30a", "\udce9", "\udcff", "\0"])
paths = st.text(characters, min_size=1, max_size=4)
listed = st.builds(ListedFile, paths, st.integers(0, 2), st.sampled_from(["sha256:0", 'etag:"é"']))
listings = st.lists(listed, max_size=12)
sizes = st.sampled_from([0, 1, listing.UNIT_BYTES // 10, listing.UNIT_BYTES // 2, listing.UNIT_BYTES * 2, listing.UNIT_BYTES * 5])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files are more than are held at a time."""
    for module in (rows, catalogue, matching):
        monkeypatch.setattr(module, "BATCH_FILES", 2)


@given(listings)
def test_files_in_any_order_are_in_the_order_of_their_names(files: list[ListedFile]) -> None:
    assert list(Catalogue.of(files)) == sorted(files, key=lambda file: file.path)


@given(listings, st.slices(12))
def test_a_catalogue_is_like_a_list_of_its_files(files: list[ListedFile], part: slice) -> None:
    made = Catalogue.of(files)
    assert len(made) == len(files)
    assert [made[place] for place in range(len(files))] == list(made)
    assert list(made[part]) == list(made)[part]
    assert made == Catalogue.of(list(made))
    assert (made == made[1:]) is (not files)


@given(listings, st.integers(0, 2**12))
def test_chosen_files_are_those_of_a_list(files: list[ListedFile], bits: int) -> None:
    made = Catalogue.of(files)
    chosen = np.array([bits >> place & 1 for place in range(len(files))], dtype=bool)
    assert list(made.only(chosen)) == [file for file, wanted in zip(made, chosen, strict=True) if wanted]


@given(listings, listings)
def test_what_two_catalogues_have_in_common_is_what_two_sets_have(left: list[ListedFile], right: list[ListedFile]) -> None:
    mine, yours = Catalogue.of(left), Catalogue.of(right)
    in_right, in_left = matched(mine, yours)
    assert in_right.tolist() == [file in set(right) for file in mine]
    assert in_left.tolist() == [file in set(left) for file in yours]


@given(st.lists(st.tuples(paths, sizes), max_size=12))
def test_units_are_the_same_whatever_holds_the_files(named: list[tuple[str, int]]) -> None:
    made = Catalogue.of(ListedFile(path, size, "m") for path, size in named)
    groups = list(listing.units(list(made)))
    assert list(listing.units(made)) == groups
    assert [listing.units(made)[number] for number in range(len(groups))] == groups
    assert [file for group in groups for file in group] == list(made)


def test_an_empty_file_behind_a_unit_that_ends_belongs_to_it() -> None:
    files = [ListedFile("a", listing.UNIT_BYTES, "m"), ListedFile("b", 0, "m"), ListedFile("c", 1, "m")]
    assert [len(group) for group in listing.units(files)] == [2, 1]


def test_the_snapshot_of_a_listing_is_what_it_has_always_been() -> None:
    """Artifacts that exist are named by it; the order of a name that is no Unicode counts too."""
    names = ["data/文.rst", "data/\uff01.txt", "data/caf\udce9.txt", "data/a/z.md", "data/B.txt"]
    files = Catalogue.of(ListedFile(name, size, f"sha256:{size}") for size, name in enumerate(names))
    assert listing.Listing("data", files).snapshot == "306fc86bc8e7b0aa40c1"


def test_a_large_catalogue_is_in_a_file_without_a_name_that_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Catalogue.of(ListedFile(f"{number % 7}/{number}", number, "m") for number in range(100))
    assert len(made) == 100
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    del made
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_files_that_have_been_gone_through_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resident() -> int:
        lines = Path("/proc/self/smaps").read_text().splitlines()
        places = [number for number, line in enumerate(lines) if str(tmp_path) in line]
        return sum(int(next(line for line in lines[number:] if line.startswith("Rss:")).split()[1]) for number in places)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Catalogue.of(ListedFile(f"{number:04}", number, "m") for number in range(100))
    assert made[50].bytes == 50
    assert resident() > 0
    for gone_through in (list, lambda files: matched(files, files), lambda files: files.only(np.ones(100, dtype=bool))):
        gone_through(made)
        assert resident() == 0


def test_no_room_for_a_catalogue_is_a_wrong_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(RequestError, match=f"cannot keep a listing in '{tmp_path}': File too large; make room, or set TMPDIR"):
            Catalogue.of(ListedFile(f"{number}", number, "m") for number in range(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_of_many_files_is_walked_without_holding_their_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / f"{number}.txt").touch()
    held = 0

    class Counted:
        def __init__(self, entry: "os.DirEntry[str]") -> None:
            nonlocal held
            held += 1
            self.name, self.path, self.is_file = entry.name, entry.path, entry.is_file

        def __del__(self) -> None:
            nonlocal held
            held -= 1

    class Scanned:
        def __init__(self, folder: str) -> None:
            self.entries = entries(folder)

        def __enter__(self) -> "map[Counted]":
            return map(Counted, self.entries)

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    entries = os.scandir
    monkeypatch.setattr(os, "scandir", Scanned)
    most = max(held for _ in listing.walk(str(tmp_path)))
    monkeypatch.undo()
    assert most <= 2
