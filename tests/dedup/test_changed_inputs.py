"""Deduplicating a corpus that has changed: the same as from scratch, and only what has changed is decided on again."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import decisions, survivors
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.storage import Store, open_store
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


def step_of(state: list[tuple[int, Any]]) -> Deduplicate:
    return Deduplicate(documents=tuple(Given(shards=shards, name_prefix="abcd"[prefix]) for prefix, shards in state), similarity=0.6)


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
