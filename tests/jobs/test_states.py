"""States of a corpus: their parts are what sets of files would give, and their listings are kept and found again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.history.states import Change, Part, State, changes, first_parts, folder_of, grown_parts, latest, record
from jobs.recipe import CorpusRecipe
from pipeline.errors import Damaged
from pipeline.sources import catalogue, matching, rows
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.files import Files
from pipeline.sources.listing import Listing
from pipeline.sources.places import LocalPlace
from pipeline.storage import LocalStore, Store, checksum_of, open_store

RECIPE = CorpusRecipe(sources=("data",))
folders = st.dictionaries(st.sampled_from(["a", "a.b", "a/b", "b", "é", "文", "\udce9"]), st.integers(0, 2))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rows, catalogue, matching):
        monkeypatch.setattr(module, "BATCH_FILES", 2)


def source(folder: dict[str, int], location: str = "data") -> Files:
    """A folder of files, given by their names and what is in them."""
    listing = Listing(location, Catalogue.of(ListedFile(name, 1, f"sha256:{content}") for name, content in folder.items()))
    found = Files(location=location, place=LocalPlace(location, "."), snapshot=listing.snapshot)
    found.__dict__["listing"] = listing
    return found


def files_of(part: Part) -> list[ListedFile]:
    assert part.files is not None
    return list(part.files)


def model_of_growth(parts: Sequence[tuple[int, list[ListedFile]]], now: Sequence[Files]) -> list[tuple[int, list[ListedFile]]]:
    """What is left of earlier parts, and what is new, by sets of all files."""
    left = [(number, [file for file in files if file in set(now[number].listing.files)]) for number, files in parts]
    known = {(number, file) for number, files in left for file in files}
    new = [(number, [file for file in source.listing.files if (number, file) not in known]) for number, source in enumerate(now)]
    return [(number, files) for number, files in (*left, *new) if files]


def model_of_change(before: Sequence[tuple[int, list[ListedFile]]], number: int, now: Files) -> Change:
    then = {file for place, files in before if place == number for file in files}
    here = set(now.listing.files)
    return Change(new=len(here - then), gone=len(then - here), same=len(here & then))


@given(st.lists(st.tuples(folders, folders), min_size=1, max_size=5))
def test_parts_and_changes_are_those_of_sets_of_files(history: list[tuple[dict[str, int], dict[str, int]]]) -> None:
    parts: tuple[Part, ...] = ()
    model: list[tuple[int, list[ListedFile]]] = []
    for number, (one, two) in enumerate(history):
        now = (source(one, "one"), source(two, "two"))
        assert changes(parts, now) == {each.name: model_of_change(model, place, each) for place, each in enumerate(now)}
        parts, model = grown_parts(parts, now, number), model_of_growth(model, now)
        assert [(part.source, files_of(part)) for part in parts] == model
        assert grown_parts(parts, now, 99) == parts


def kept(parts: tuple[Part, ...], store: Store, tokens: str = "tokenize/x") -> State:
    return record(store, "refresh", RECIPE, parts, 0, {"tokenize": tokens})


def listings(store: LocalStore) -> list[Path]:
    return sorted(Path(store.url).rglob("*.parquet"))


def read(store: Store) -> State:
    state = latest(store, folder_of(RECIPE))
    assert state is not None
    return state


def test_a_state_is_found_again_as_it_was_recorded(store: LocalStore) -> None:
    parts = first_parts((source({"a": 0, "\udce9": 1, "文": 2}),), 0)
    recorded = kept(parts, store)
    assert read(store) == recorded
    assert read(store).parts == parts
    assert kept(parts, store).number == 1, "the same state is not recorded twice"


def test_an_object_store_keeps_states_and_listings_too(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    store = open_store(f"{bucket}/root")
    kept(first_parts((source({"a": 0, "b": 1}),), 0), store)
    assert [file.path for file in files_of(read(store).parts[0])] == ["a", "b"]


def test_a_state_is_small_and_each_listing_is_kept_once(store: LocalStore) -> None:
    first = source({str(number): 0 for number in range(1000)})
    kept(first_parts((first,), 0), store)
    parts = grown_parts(read(store).parts, (source({**{str(number): 0 for number in range(1000)}, "new": 1}),), 0)
    assert kept(parts, store, "tokenize/y").number == 2
    assert len(listings(store)) == 2
    assert all(place.stat().st_size < 2000 for place in Path(store.url).rglob("*.json"))
    assert [len(files_of(part)) for part in read(store).parts] == [1000, 1]


def test_a_state_that_holds_its_files_itself_is_still_read(store: LocalStore) -> None:
    parts = first_parts((source({"a": 0, "b": 1}),), 0)
    kept(parts, store)
    (place,) = Path(store.url).rglob("*.json")
    state = json.loads(place.read_bytes())
    state["parts"][0]["files"] = [{"path": file.path, "bytes": file.bytes, "mark": file.mark} for file in files_of(parts[0])]
    place.write_text(json.dumps(state))
    assert read(store).parts == parts


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "count", "field"])
def test_a_damaged_listing_is_told_with_the_remedy(damage: str, store: LocalStore) -> None:
    kept(first_parts((source({"a": 0, "b": 1}),), 0), store)
    (listing,), (state,) = listings(store), Path(store.url).rglob("*.json")
    {
        "gone": lambda: listing.unlink(),
        "cut": lambda: listing.write_bytes(listing.read_bytes()[:-9]),
        "other": lambda: listing.write_bytes(b"other bytes"),
        "count": lambda: state.write_text(state.read_text().replace('"rows": 2', '"rows": 3')),
        "field": lambda: state.write_text(state.read_text().replace('"rows"', '"lines"')),
    }[damage]()
    with pytest.raises(
        Damaged, match=r"delete (it|the states beside it that name it,) to go on from the (state before|one before)"
    ) as told:
        grown_parts(read(store).parts, (source({"a": 0}),), 0)
    assert "\n" not in str(told.value)


def test_a_damaged_listing_is_written_anew_by_who_has_its_files(store: LocalStore) -> None:
    parts = first_parts((source({"a": 0, "b": 1}),), 0)
    kept(parts, store)
    listings(store)[0].write_bytes(b"other bytes")
    kept(tuple(replace(part, tombstones=1) for part in parts), store, "tokenize/y")
    assert files_of(read(store).parts[0]) == files_of(parts[0])


def test_what_is_no_listing_though_its_checksum_is_right_is_damage(store: LocalStore) -> None:
    kept(first_parts((source({"a": 0}),), 0), store)
    (listing,), (state,) = listings(store), Path(store.url).rglob("*.json")
    forged = checksum_of(b"PAR1 and no table PAR1")
    listing.with_name(f"{forged.removeprefix('sha256:')}.parquet").write_bytes(b"PAR1 and no table PAR1")
    found = json.loads(state.read_bytes())
    found["parts"][0]["files"]["checksum"] = forged
    state.write_text(json.dumps(found))
    with pytest.raises(Damaged, match=r"\.parquet is no listing \(.*restore it"):
        files_of(read(store).parts[0])
