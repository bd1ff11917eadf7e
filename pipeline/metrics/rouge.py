"""ROUGE (Lin, 2004): how many words, pairs of words and words in order a text shares with its reference.

On ASCII text the values are those of Google's `rouge_score` without stemming. Beyond it, words may have any letters, and Chinese and
Japanese characters are a word each, since no spaces part their words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

METRICS = ("rouge1", "rouge2", "rougeL")


def rouge_scores(said: str, expected: str) -> dict[str, float]:
    """F1 of one text by its single words, pairs of words, and longest common subsequence of words."""
    ours, theirs = words_of(said), words_of(expected)
    common = longest_common(ours, theirs)
    return {"rouge1": _shared(ours, theirs, 1), "rouge2": _shared(ours, theirs, 2), "rougeL": _f1(common, len(ours), len(theirs))}


def rouge_metrics(totals: Mapping[str, float]) -> dict[str, float]:
    """The means of `rouge1`, `rouge2` and `rougeL` over rows, from 0 to 1."""
    return {name: totals[name] / totals["n"] for name in METRICS}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    spaced: str = _single().sub(r" \1 ", text.lower())
    words: list[str] = _word().findall(spaced)
    return words


def longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of their longest common subsequence, a row of the table at a time as one number of many bits (Hyyrö, 2004)."""
    everywhere = (1 << len(left)) - 1
    places = dict[str, int]()
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    open_places = everywhere
    for word in right:
        matched = open_places & places.get(word, 0)
        open_places = (open_places + matched | open_places - matched) & everywhere
    return len(left) - open_places.bit_count()


def _shared(left: Sequence[str], right: Sequence[str], length: int) -> float:
    """F1 of the sequences of so many words, each as often as both have it."""
    ours, theirs = (Counter(zip(*(words[start:] for start in range(length)), strict=False)) for words in (left, right))
    return _f1((ours & theirs).total(), ours.total(), theirs.total())


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs) if common else 0.0


@cache
def _single() -> Any:
    import re2

    return re2.compile(r"([\p{Han}\p{Hiragana}\p{Katakana}])")


@cache
def _word() -> Any:
    import re2

    return re2.compile(r"[\p{L}\p{M}\p{N}]+")
