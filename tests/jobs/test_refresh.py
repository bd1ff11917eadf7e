"""Refreshing a corpus: it ends as a build from scratch, and only what has changed is done again."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.history.prospect import Prospect, as_it_grows, as_it_was
from jobs.history.states import folder_of, latest
from jobs.recipe import CorpusRecipe
from pipeline.documents import Document
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import Outcome, run
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact
from tests.dedup.corpora import by_the_rule

PAGES = [" ".join(f"w{page}x{place}" for place in range(60)) for page in range(3)]
TEXTS = [*PAGES, *(page.replace(" ", f" e{edit} ", edit) for page in PAGES for edit in (1, 2, 3))]
SIMILARITY = 0.6
files = st.sampled_from(["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"])
contents = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4)
changes = st.dictionaries(files, st.none() | contents, max_size=4)


def recipe(*sources: Path, **options: Any) -> CorpusRecipe:
    return CorpusRecipe(
        sources=tuple(map(str, sources)), **{"similarity": SIMILARITY, "vocab_size": 300, "validation": 0.0, "loss_budget": 1.0, **options}
    )


def write(folder: Path, change: dict[str, Sequence[str] | None]) -> None:
    """Write files of documents; None removes one."""
    folder.mkdir(exist_ok=True)
    for name, texts in change.items():
        if texts is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def built(prospect: Prospect[CorpusRecipe], store: Store) -> Outcome:
    outcome = run([prospect.recipe.tokens], store, InlineExecutor())
    prospect.record(store, "refresh")
    return outcome


def documents(step: Step[Any], store: Store) -> Iterator[Document]:
    artifact = open_artifact(store, step)
    for shard in artifact.shards:
        yield from artifact.read(shard)


@settings(deadline=None, max_examples=15)
@given(contents, st.lists(changes, min_size=1, max_size=4))
def test_any_sequence_of_refreshes_ends_as_one_build_from_scratch(first: list[str], sequence: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as place:
        folder, grown = Path(place, "data"), open_store(str(Path(place, "grown")))
        write(folder, {"z.jsonl": first})
        for number, change in enumerate([{}, *sequence]):
            write(folder, change)
            prospect = as_it_grows(recipe(folder), grown)
            built(prospect, grown)
            unique, scratch = prospect.recipe.unique, open_store(str(Path(place, f"scratch-{number}")))
            run([unique], scratch, InlineExecutor())
            assert open_artifact(grown, unique).manifest.content == open_artifact(scratch, unique).manifest.content
            read = [document for ingest in prospect.recipe.ingests for document in documents(ingest, grown)]
            assert {document.origin.split("/")[-1].split("#")[0] for document in read} == {file.name for file in folder.iterdir()}
            drops = by_the_rule([document.text for document in read], SIMILARITY)
            assert list(documents(unique, grown)) == [document for place, document in enumerate(read) if place not in drops]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "data", {f"{page}.jsonl": [text] for page, text in enumerate(PAGES)})
    return tmp_path / "data"


def test_a_refresh_without_a_change_builds_nothing_and_is_no_new_state(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    again = as_it_grows(recipe(folder), store)
    assert built(again, store).built == ()
    state = latest(store, folder_of(recipe(folder)))
    assert state is not None
    assert state.number == 1


def test_a_first_refresh_is_the_corpus_itself(folder: Path, store: Store) -> None:
    assert as_it_grows(recipe(folder), store).recipe.tokens.address == recipe(folder).tokens.address


def test_what_is_left_out_for_its_format_stays_on_record(folder: Path, store: Store) -> None:
    (folder / "picture.png").write_bytes(b"png")
    prospect = as_it_grows(recipe(folder), store)
    manifests = built(prospect, store).manifests
    assert manifests[prospect.recipe.ingests[0].address].facts["left_out"] == {".png": 1}


def test_token_shards_stay_as_they_are_and_new_ones_are_added(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.listing.MOST_UNIT_BYTES", 1)
    first = as_it_grows(recipe(folder), store)
    built(first, store)
    write(folder, {"new.jsonl": ["something else altogether"]})
    second = as_it_grows(recipe(folder), store)
    built(second, store)
    old, new = (open_artifact(store, prospect.recipe.tokens) for prospect in (first, second))
    home = first.recipe.tokens.address.split("/")[1]
    assert [entry.path for entry in new.files("train")][:3] == [f"../{home}/{entry.path}" for entry in old.files("train")]
    assert len(new.files("train")) == 4
    assert new.facts["documents"]["train"] == 4


def test_the_tokenizer_stays_that_of_the_first_state(folder: Path, store: Store) -> None:
    first = as_it_grows(recipe(folder), store)
    built(first, store)
    write(folder, {"new.jsonl": ["quite other words " * 50]})
    second = as_it_grows(recipe(folder), store)
    assert second.recipe.tokenizer_step.address == first.recipe.tokenizer_step.address
    assert not [address for address in built(second, store).built if address.startswith("train-tokenizer")]


def test_what_has_changed_is_counted(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    write(folder, {"0.jsonl": None, "1.jsonl": ["other"], "new.jsonl": ["more"]})
    (change,) = as_it_grows(recipe(folder), store).changes.values()
    assert (change.new, change.gone, change.same) == (2, 2, 1)


def test_documents_say_in_which_state_they_were_met_first(folder: Path, store: Store) -> None:
    first = as_it_grows(recipe(folder), store)
    built(first, store)
    write(folder, {"0.jsonl": None, "new.jsonl": ["more"]})
    second = as_it_grows(recipe(folder), store)
    built(second, store)
    states = {document.origin[-9:]: document.snapshot for document in documents(second.recipe.unique, store)}
    then, now = first.recipe.located[0].snapshot, second.recipe.located[0].snapshot
    assert states == {"1.jsonl#1": then, "2.jsonl#1": then, "w.jsonl#1": now}


def test_a_corpus_job_takes_the_last_state_as_long_as_its_sources_have_not_changed(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    write(folder, {"new.jsonl": ["more"]})
    refreshed = as_it_grows(recipe(folder), store)
    built(refreshed, store)
    assert as_it_was(recipe(folder), store).recipe.tokens.address == refreshed.recipe.tokens.address
    write(folder, {"newer.jsonl": ["even more"]})
    assert as_it_was(recipe(folder), store).recipe.tokens.address == recipe(folder).tokens.address


def test_another_recipe_has_states_of_its_own(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    assert as_it_grows(recipe(folder, similarity=None), store).before is None


def test_what_a_kill_left_undone_is_done_by_the_next_refresh(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    write(folder, {"new.jsonl": ["more"]})
    prospect = as_it_grows(recipe(folder), store)
    run([prospect.recipe.unique], store, InlineExecutor())  # and then it was killed: no state was recorded
    again = as_it_grows(recipe(folder), store)
    assert again.recipe.tokens.address == prospect.recipe.tokens.address
    assert [address.split("/")[0] for address in built(again, store).built] == ["tokenize"]


def test_a_location_that_holds_nothing_any_more_is_refused_and_the_last_state_stays(folder: Path, store: Store) -> None:
    from pipeline.errors import RequestError

    built(as_it_grows(recipe(folder), store), store)
    write(folder, {f"{page}.jsonl": None for page in range(3)})
    with pytest.raises(RequestError, match="holds no readable file"):
        as_it_grows(recipe(folder), store)
    assert latest(store, folder_of(recipe(folder))) is not None
