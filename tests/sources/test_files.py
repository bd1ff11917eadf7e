"""Files: what a location means, in which order it is read, and what is told when it cannot be."""

import gzip
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError, RunError
from pipeline.sources import listing
from pipeline.sources.base import Source
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from pipeline.sources.listing import kinds_of
from tests.sources.containers import kept, write

RECORDS = [{"text": f"document {number}", "n": str(number)} for number in range(5)]


def example(folder: Path) -> Source:
    """For the contract of sources: several formats, several units, and a bad record; `folder` is the working folder."""
    data = folder / "data" / "deep"
    data.mkdir(parents=True, exist_ok=True)
    write(data / "b.jsonl.gz", RECORDS)
    write(data.parent / "c.parquet", RECORDS)
    (data.parent / "a.txt").write_text("text\n" * 2_000_000)
    (data.parent / "z.jsonl").write_bytes(b'{"text": "good"}\n{"text": 5}\n')
    return Files.at("data")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_names(folder: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/b/c.py", "B.TXT", "文.rst", "a.txt.gz"):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    origins = ["data/B.TXT#0", "data/a.txt.gz#0", "data/a/b/c.py#0", "data/a/z.md#0", "data/b.txt#0", "data/文.rst#0"]
    assert [document.origin for document in kept("data")] == origins


@pytest.mark.parametrize(
    ("given", "recorded"),
    [("./a/b.txt", "a/b.txt"), ("a//b.txt", "a/b.txt"), ("a/b.txt", "a/b.txt"), ("../here/a/b.txt", "../here/a/b.txt")],
)
def test_an_origin_is_the_location_as_it_was_given(given: str, recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "a").mkdir(parents=True)
    (tmp_path / "here" / "a" / "b.txt").write_text("text")
    monkeypatch.chdir(tmp_path / "here")
    (document,) = kept(given)
    assert (document.origin, document.source) == (f"{recorded}#0", recorded)


def test_no_folder_of_this_machine_is_in_the_recipe(folder: Path) -> None:
    write(folder / "a.jsonl", RECORDS)
    assert str(folder) not in str(Ingest(source=Files.at("a.jsonl")).recipe)


def test_the_same_files_elsewhere_have_the_same_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = set()
    for name in ("one", "two"):
        (folder / name / "data").mkdir(parents=True)
        write(folder / name / "data" / "a.jsonl", RECORDS)
        monkeypatch.chdir(folder / name)
        addresses |= {Ingest(source=Files.at(location)).address for location in ("data", "./data/")}
    assert len(addresses) == 1


@pytest.mark.parametrize("change", ["content", "name", "new", "gone", "size"])
def test_any_change_of_the_files_is_another_snapshot(change: str, folder: Path) -> None:
    (folder / "data").mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / "data" / name).write_text("text")
    before = Files.at("data").snapshot
    assert Files.at("data").snapshot == before
    {
        "content": lambda: (folder / "data" / "a.txt").write_text("TEXT"),
        "name": lambda: (folder / "data" / "a.txt").rename(folder / "data" / "c.txt"),
        "new": lambda: (folder / "data" / "c.txt").write_text("text"),
        "gone": lambda: (folder / "data" / "a.txt").unlink(),
        "size": lambda: (folder / "data" / "a.txt").write_text("text and more"),
    }[change]()
    assert Files.at("data").snapshot != before


def test_hidden_files_and_other_formats_are_left_out_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.txt", ".hidden.txt", ".git/b.txt", "c.pdf", "d.pdf", "LICENSE", "e.exe.gz"):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("text")
    with caplog.at_level(logging.WARNING):
        source = Files.at("data")
    assert [file.path for group in source.partitions() for file in group] == ["data/a.txt"]
    assert source.left_out == {".exe": 1, ".pdf": 2, "no suffix": 1}
    assert caplog.messages == ["data: 1 files to read; left out for their format: 2 .pdf, 1 .exe, 1 no suffix"]


def test_globs_match_files_folders_and_any_depth(folder: Path) -> None:
    for name in ("x1/a.txt", "x1/b.md", "x2/deep/c.txt", "y/d.txt", "x[1].txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text")
    for pattern, names in {
        "x*/*.txt": ["x1/a.txt"],
        "x?": ["x1/a.txt", "x1/b.md", "x2/deep/c.txt"],
        "**/*.txt": ["x1/a.txt", "x2/deep/c.txt", "x[1].txt", "y/d.txt"],
        "**": ["x1/a.txt", "x1/b.md", "x2/deep/c.txt", "x[1].txt", "y/d.txt"],
        "x[1].txt": ["x[1].txt"],
        f"{folder}/y/*": [f"{folder}/y/d.txt"],
    }.items():
        assert [document.origin for document in kept(pattern)] == [f"{name}#0" for name in names], pattern


def test_linked_files_and_folders_are_read_once(folder: Path) -> None:
    (folder / "far").mkdir()
    (folder / "far" / "a.txt").write_text("text")
    (folder / "data").mkdir()
    for name in ("one", "two"):
        (folder / "data" / name).symlink_to(folder / "far")
    (folder / "data" / "loop").symlink_to(folder / "data")
    (folder / "data" / "linked.txt").symlink_to(folder / "far" / "a.txt")
    (folder / "data" / "nothing.txt").symlink_to(folder / "gone")
    os.mkfifo(folder / "data" / "pipe.txt")
    assert [document.origin for document in kept("data")] == ["data/linked.txt#0", "data/one/a.txt#0"]


def test_small_files_share_a_unit_and_large_ones_have_their_own() -> None:
    small = [listing.ListedFile(f"{number:04}.txt", listing.UNIT_BYTES // 10, "m") for number in range(400)]
    large = listing.ListedFile("9.txt", 3 * listing.UNIT_BYTES, "m")
    groups = listing.units([*small, large])
    assert [file for group in groups for file in group] == [*small, large]
    assert groups[-1] == (large,)
    assert 30 <= len(groups) <= 80
    assert all(sum(file.bytes for file in group) <= listing.MOST_UNIT_BYTES for group in groups[:-1])


@given(st.integers(0, 399), st.booleans())
def test_a_file_that_comes_or_goes_leaves_the_units_that_are_not_near_as_they_are(place: int, comes: bool) -> None:
    files = [listing.ListedFile(f"{number:04}.txt", listing.UNIT_BYTES // 10, "m") for number in range(400)]
    others = files.copy()
    if comes:
        others.insert(place, listing.ListedFile(f"{place:04}-new.txt", listing.UNIT_BYTES // 10, "m"))
    else:
        del others[place]
    assert len(set(listing.units(files)) ^ set(listing.units(others))) <= 10


def test_a_name_that_is_no_unicode_is_read_and_shown_with_escapes(folder: Path) -> None:
    (folder / "data").mkdir()
    with open(os.fsencode(folder) + b"/data/caf\xe9.txt", "w") as file:
        file.write("text")
    assert [document.origin for document in kept("data")] == ["data/caf\\xe9.txt#0"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nothing.txt", "cannot read 'nothing.txt': there is no such file or folder; check the path"),
        ("no*.txt", "cannot read 'no\\*.txt': it matches no file; check the pattern"),
        ("a.exe", "cannot read 'a.exe': its name says no known format; readable: .txt .* .md .* .py .*jsonl.* each also .gz and .zst"),
        ("empty", "cannot read 'empty': it holds no readable file; readable: .txt"),
        ("others", r"cannot read 'others': it holds no readable file \(1 .exe\); readable: .txt"),
        ("blank.txt", "cannot read 'blank.txt': every file in it is empty"),
        ("pipe.txt", "cannot read 'pipe.txt': it is neither a file nor a folder"),
        ("blank.txt/below", "cannot read 'blank.txt/below': there is no such file or folder"),
        ("x" * 300, "cannot read 'x+': File name too long"),
        ("", "location is empty"),
    ],
)
def test_a_location_that_cannot_be_read_is_a_wrong_request(location: str, message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "others").mkdir()
    for name in ("a.exe", "others/b.exe"):
        (folder / name).write_text("text")
    (folder / "blank.txt").write_text("")
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(RequestError, match=message) as raised:
        Files.at(location)
    assert "\n" not in str(raised.value)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Nothing is forbidden to root: a place where someone else may read what is not locked, and root's rights again after."""
    places = [folder, *folder.parents, *folder.rglob("*")]
    modes = [place.stat().st_mode for place in places]
    try:
        for place, mode in zip(places, modes, strict=True):
            if os.getuid() == 0:
                place.chmod(mode | 0o055)
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for place, mode in zip(places, modes, strict=True):
            if os.getuid() == 0 or place.stat().st_uid == os.getuid():
                place.chmod(mode)


@pytest.mark.parametrize("locked", ["data/a.txt", "data/deep", "data"])
def test_a_file_without_permission_is_a_wrong_request(locked: str, folder: Path) -> None:
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "a.txt").write_text("text")
    (folder / "data" / "deep" / "b.txt").write_text("text")
    with as_nobody(folder):
        (folder / locked).chmod(0)
        if os.getuid() == 0:
            os.seteuid(65534)
        with pytest.raises(RequestError, match=f"cannot read '{locked}': Permission denied; make it readable"):
            Files.at("data")


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz", "a.parquet"])
def test_a_file_that_changed_since_it_was_listed_fails_the_run(name: str, folder: Path) -> None:
    place = write(folder / name, RECORDS) if name != "a.txt" else folder / name
    if name == "a.txt":
        place.write_text("text")
    source = Files.at(name)
    (unit,) = source.partitions()
    same_size = bytes(reversed(place.read_bytes()))
    place.write_bytes(same_size)
    with pytest.raises(RunError, match=f"{name} has changed since it was listed; run the same command again"):
        list(source.read(unit))
    place.unlink()
    with pytest.raises(RunError, match=f"{name} has changed since it was listed"):
        list(source.read(unit))


def test_a_file_that_changes_while_it_is_read_fails_the_run(folder: Path) -> None:
    place = write(folder / "a.jsonl", RECORDS)
    source = Files.at("a.jsonl")
    (unit,) = source.partitions()
    reading = source.read(unit)
    next(reading)
    place.write_bytes(place.read_bytes().replace(b"document 4", b"DOCUMENT 4"))
    with pytest.raises(RunError, match="changed"):
        list(reading)


def test_a_source_whose_folder_changed_on_the_way_to_a_worker_says_so(folder: Path) -> None:
    write(folder / "a.jsonl", RECORDS)
    travelled = pickle.loads(pickle.dumps(Files.at(".")))
    write(folder / "b.jsonl", RECORDS)
    with pytest.raises(RunError, match="changed"):
        travelled.partitions()


def test_a_worker_in_another_folder_reads_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "a.jsonl", RECORDS)
    source = Files.at("a.jsonl")
    (unit,) = source.partitions()
    before = list(source.read(unit))
    (folder / "else").mkdir()
    monkeypatch.chdir(folder / "else")
    assert list(pickle.loads(pickle.dumps(source)).read(unit)) == before


def test_a_source_travels_without_the_listing_of_all_its_files(folder: Path) -> None:
    for number in range(300):
        (folder / f"{number}.txt").write_text("text")
    assert len(pickle.dumps(Files.at("."))) < 1000


def test_another_field_may_hold_the_text(folder: Path) -> None:
    write(folder / "a.jsonl", RECORDS)
    first = kept("a.jsonl", text_field="n")[0]
    assert (first.text, first.meta) == ("0", '{"text": "document 0"}')
    with pytest.raises(RequestError, match="text_field is empty"):
        Files.at("a.jsonl", text_field="")


def test_of_many_kinds_that_are_left_out_the_most_frequent_are_told() -> None:
    told = kinds_of({f".{number:02d}": number for number in range(1, 21)})
    assert told.startswith("20 .20, 19 .19, ")
    assert told.endswith(", 9 .09 and 8 kinds more")
