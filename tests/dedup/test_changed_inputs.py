"""Deduplicating a corpus that has changed: the same as from scratch, and only what has changed is decided on again."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import candidates, decisions, deduplicate, survivors
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.errors import Damaged
from pipeline.storage import LocalStore, Store, base, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.dedup.corpora import Given

PAGES = [" ".join(f"w{page}x{place}" for place in range(60)) for page in range(3)]


def edited(page: str, edits: int) -> str:
    """A page with some words replaced."""
    words = page.split()
    words[: 7 * edits : 7] = [f"e{edits}x{place}" for place in range(edits)]
    return " ".join(words)


TEXTS = [*PAGES, *(edited(page, edits) for page in PAGES for edits in (1, 2, 3, 4)), PAGES[0].replace(" ", "  "), "short", ""]
texts = st.lists(st.sampled_from(TEXTS), max_size=6).map(tuple)
inputs = st.tuples(st.integers(0, 3), st.lists(texts, max_size=2).map(tuple))
states = st.lists(st.lists(inputs, min_size=1, max_size=4), min_size=2, max_size=4)


def step_of(state: list[tuple[int, Any]], similarity: float | None = 0.6) -> Deduplicate:
    inputs = tuple(Given(shards=shards, name_prefix="abcd"[prefix]) for prefix, shards in state)
    return Deduplicate(documents=inputs, similarity=similarity)


def outcome(step: Deduplicate, store: Store) -> tuple[Any, ...]:
    """What a build leaves: its bytes, what is kept and dropped, and the counts."""
    manifest = run([step], store, InlineExecutor()).manifests[step.address]
    artifact = open_artifact(store, step)
    kept = [document for shard in artifact.shards for document in artifact.read(shard)]
    return manifest.content, kept, artifact.dropped().to_pylist(), manifest.facts


@settings(deadline=None, max_examples=12)
@given(states)
def test_any_sequence_of_changes_ends_as_a_build_from_scratch(changes: list[list[tuple[int, Any]]]) -> None:
    with TemporaryDirectory() as folder:
        grown = open_store(str(Path(folder, "grown")))
        for number, state in enumerate(changes):
            step = step_of(state)
            assert outcome(step, grown) == outcome(step, open_store(str(Path(folder, f"scratch-{number}"))))


@settings(deadline=None, max_examples=8)
@given(states, st.sampled_from([0.6, 0.9, None]))
def test_documents_that_come_behind_others_end_as_a_build_from_scratch(additions: list[list[tuple[int, Any]]], similarity: float) -> None:
    with TemporaryDirectory() as folder:
        grown = open_store(str(Path(folder, "grown")))
        for number in range(len(additions)):
            step = step_of([each for addition in additions[: number + 1] for each in addition], similarity)
            assert outcome(step, grown) == outcome(step, open_store(str(Path(folder, f"scratch-{number}"))))


def test_keys_of_documents_that_were_there_before_are_not_compared_with_each_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (0, (tuple(text for page in PAGES for text in (page, edited(page, 1))),))
    outcome(step_of([old]), store)
    with monkeypatch.context() as patch:
        for name in ("copies", "band_edges"):
            patch.delattr(candidates, name)
        grown = outcome(step_of([old, (1, ((edited(PAGES[1], 2), PAGES[0], PAGES[2]),))]), store)
    with TemporaryDirectory() as folder:
        assert grown == outcome(step_of([old, (1, ((edited(PAGES[1], 2), PAGES[0], PAGES[2]),))]), open_store(folder))


@pytest.mark.parametrize("limit", ["LATER_AT_ONCE", "JOINED_AT_ONCE"])
def test_more_documents_than_can_be_looked_for_at_once_are_all_compared(limit: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (0, ((PAGES[0], PAGES[1]),)), (1, ((edited(PAGES[1], 1), "new"),))
    outcome(step_of([old]), store)
    monkeypatch.setattr(deduplicate, limit, 1)
    monkeypatch.delattr(candidates, "later_edges")
    grown = outcome(step_of([old, new]), store)
    with TemporaryDirectory() as folder:
        assert grown == outcome(step_of([old, new]), open_store(folder))


@pytest.mark.parametrize("kind", ["copies", "roots", "decisions"])
@pytest.mark.parametrize("damage", ["other", "gone"])
def test_damage_to_what_is_remembered_costs_work_and_no_more(kind: str, damage: str, store: LocalStore) -> None:
    old = (0, ((PAGES[0], PAGES[0], edited(PAGES[0], 1), PAGES[1]),))
    step, grown = step_of([old]), step_of([old, (1, ((edited(PAGES[1], 1), PAGES[0]),))])
    outcome(step, store)
    (place,) = Path(store.url, step.address, kind).iterdir()
    if damage == "gone":
        place.unlink()
    else:
        place.write_bytes(bytes(byte ^ 1 for byte in place.read_bytes()))
    with TemporaryDirectory() as folder:
        assert outcome(grown, store) == outcome(grown, open_store(folder))


def test_a_run_that_was_killed_goes_on_though_another_state_came_between(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (0, ((PAGES[0], PAGES[1]),)), (1, ((edited(PAGES[1], 1), PAGES[0]),)), (2, ((edited(PAGES[1], 2), PAGES[1]),))
    outcome(step_of([one]), store)
    outcome(step_of([one, two]), store)
    with monkeypatch.context() as patch:
        patch.setattr(Deduplicate, "cluster", _killed)
        with pytest.raises(KeyboardInterrupt):
            outcome(step_of([one, two, three]), store)
    outcome(step_of([one, (3, (("other",),))]), store)
    with TemporaryDirectory() as folder:
        assert outcome(step_of([one, two, three]), store) == outcome(step_of([one, two, three]), open_store(folder))


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_damaged_shard_is_told_or_read_as_it_was(data: st.DataObject) -> None:
    old, new = (0, (TEXTS[:6],)), (1, ((edited(PAGES[0], 2), edited(PAGES[1], 3)),))
    with TemporaryDirectory() as folder:
        store, whole = open_store(str(Path(folder, "root"))), open_store(str(Path(folder, "whole")))
        outcome(step_of([old]), store)
        (place,) = Path(folder, "root", Given(shards=old[1], name_prefix="a").address, "documents").iterdir()
        damaged = bytearray(place.read_bytes())
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        base._whole.clear()
        place.write_bytes(damaged)
        found = told = None
        try:
            found = outcome(step_of([old, new]), store)
        except Damaged as problem:
            told = str(problem)
        assert place.name in told if told else found == outcome(step_of([old, new]), whole)


def test_only_what_is_new_is_decided_on_beside_the_kept_ones_that_it_may_be_like(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[list[bool]] = []
    survey = survivors.survey

    def noted(sets: Any, offsets: Any, bands: Any, is_open: Any, threshold: float) -> Any:
        decided.append(is_open.tolist())
        return survey(sets, offsets, bands, is_open, threshold)

    monkeypatch.setattr(survivors, "survey", noted)
    old = (0, (tuple(text for page in PAGES for text in (page, edited(page, 1))),))
    outcome(step_of([old]), store)
    outcome(step_of([old, (1, (("something else",),))]), store)
    outcome(step_of([old, (1, ((edited(PAGES[1], 2),),))]), store)
    assert decided == [[True] * 6, [False, True]]


def test_shards_that_keep_what_they_kept_are_not_written_again(store: Store) -> None:
    old = (0, ((PAGES[0], "one"), (PAGES[1], "two")))
    first = run([step_of([old])], store, InlineExecutor())
    second = step_of([old, (1, ((edited(PAGES[1], 1), "three"),))])
    run([second], store, InlineExecutor())
    home = next(address for address in first.built if address.startswith("deduplicate/")).split("/")[1]
    shards = open_artifact(store, second).shards
    assert [shard.path.startswith(f"../{home}/") for shard in shards] == [True, True, False]


def test_of_a_template_of_many_pages_those_are_looked_at_that_stand_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (survivors, decisions):
        monkeypatch.setattr(module, "BUCKET_LIMIT", 3)
    template = " ".join(f"t{place}" for place in range(20))
    pages = [f"{template} {' '.join(f'p{page}x{place}' for place in range(20))}" for page in range(20)]
    looked_at: list[int] = []
    survey = survivors.survey

    def noted(sets: Any, offsets: Any, *rest: Any) -> Any:
        looked_at.append(offsets.size - 1)
        return survey(sets, offsets, *rest)

    monkeypatch.setattr(survivors, "survey", noted)
    old, new = (0, (tuple(pages[:19]),)), (1, ((pages[19],),))
    grown = Deduplicate(documents=step_of([old, new]).documents, similarity=0.5, permutations=64)
    run([Deduplicate(documents=step_of([old]).documents, similarity=0.5, permutations=64)], store, InlineExecutor())
    kept = outcome(grown, store)
    assert looked_at[0] >= 15
    assert 1 < looked_at[1] < looked_at[0]
    with TemporaryDirectory() as folder:
        assert kept == outcome(grown, open_store(folder))
