"""Hostile texts: within a hard limit on time and memory."""

import pytest

from pipeline.dedup.paragraphs import DeduplicateParagraphs
from pipeline.dedup.remove_repeats import RemoveRepeats
from pipeline.dedup.substrings import DeduplicateSubstrings
from tests.dedup.removal import removed
from tests.sources.bounds import bounded

MILLIONS = 20_000_000
TEXTS = {
    "one line a million times": "the same line a million times over\n" * 1_000_000,
    "one letter": "a" * MILLIONS,
    "two letters": "ab" * (MILLIONS // 2),
    "a character of four bytes": "\U0001f600" * (MILLIONS // 4),
    "a letter and its marks": "e" + "\u0301" * (MILLIONS // 2),
    "line ends": "\n" * MILLIONS,
    "white space": " \u3000" * (MILLIONS // 4),
    "short lines": "a\n" * (MILLIONS // 2),
    "runs that grow": "".join("a" * (number % 997) + "b" for number in range(40_000)),
}


@pytest.mark.parametrize("kind", [DeduplicateParagraphs, DeduplicateSubstrings])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_hostile_texts_are_shortened_or_kept_in_bounded_time_and_memory(kind: type[RemoveRepeats], text: str) -> None:
    with bounded():
        found = removed(kind, [[text, f"x{text}"]], remain=0.0)
    assert found.facts["read"] == 2
    assert found.texts[0] == text or len(found.texts[0]) < 20_000
