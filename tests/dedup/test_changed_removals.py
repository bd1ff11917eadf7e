"""Removing the repeats of a corpus that has changed: the same as from scratch."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.paragraphs import DeduplicateParagraphs
from pipeline.dedup.remove_repeats import RemoveRepeats
from pipeline.dedup.substrings import DeduplicateSubstrings
from pipeline.storage import open_store
from tests.dedup.corpora import Given
from tests.dedup.removal import built

LINES = [f"line {letter * 9} of these pages\n" for letter in "abcdef"]
texts = st.lists(st.sampled_from(LINES), min_size=1, max_size=5).map("".join)
shards = st.lists(st.lists(texts, max_size=3).map(tuple), max_size=2).map(tuple)
states = st.lists(st.lists(st.tuples(st.integers(1, 4), shards), min_size=1, max_size=3), min_size=2, max_size=4)


@pytest.mark.parametrize(
    "step", [DeduplicateParagraphs(documents=(Given(shards=()),)), DeduplicateSubstrings(documents=(Given(shards=()),), length=20)]
)
@settings(max_examples=8)
@given(changes=states)
def test_any_sequence_of_changes_ends_as_a_build_from_scratch(
    step: RemoveRepeats, changes: list[list[tuple[int, tuple[tuple[str, ...], ...]]]]
) -> None:
    with TemporaryDirectory() as folder:
        grown = open_store(str(Path(folder, "grown")))
        for number, state in enumerate(changes):
            inputs = tuple(Given(shards=given_shards, name_prefix=f"d{prefix}") for prefix, given_shards in state)
            changed = replace(step, documents=inputs)
            assert built(changed, grown) == built(changed, open_store(str(Path(folder, f"scratch-{number}"))))
