"""How well a text answers a question about another one: exact match and F1 over words, as SQuAD measures them, and over characters in
Chinese, as MLQA does.

English is compared by its words, in lower case and without punctuation and articles (Rajpurkar and others, 2016, arXiv:1606.05250, and
its evaluation script 1.1). Chinese is compared by its characters, and by words where it has those of other scripts, without punctuation
of any script ("mixed segmentation"; Lewis and others, 2020, arXiv:1910.07475, and its evaluation script).
"""

import re
import string
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal
from unicodedata import category

Language = Literal["en", "zh"]
ARTICLES = re.compile(r"\b(a|an|the)\b")
FIRST, LAST = "\u4e00", "\u9fa5"
"""The characters that stand alone, as MLQA's script has them."""


@dataclass(frozen=True)
class Match:
    """How well an answer matches: both from 0 to 1."""

    exact: float
    f1: float


def best_match(answer: str, references: Sequence[str], language: Language) -> Match:
    """The best exact match and the best F1 of an answer over the right ones, of which there is at least one.

    An empty right answer says that there is none: then an answer without words matches, and no other.
    """
    matches = [match(answer, reference, language) for reference in references]
    return Match(max(found.exact for found in matches), max(found.f1 for found in matches))


def match(answer: str, reference: str, language: Language) -> Match:
    """An answer beside a right one: F1 is the harmonic mean of the shares of their words that they have in common."""
    said, right = words(answer, language), words(reference, language)
    if not said or not right:
        return Match(float(said == right), float(said == right))
    common = (Counter(said) & Counter(right)).total()
    return Match(float(said == right), 2 * common / (len(said) + len(right)))


def words(text: str, language: Language) -> list[str]:
    """What of a text is compared: its words in English, its characters and words in Chinese."""
    lower = text.lower()
    if language == "en":
        return ARTICLES.sub(" ", "".join(character for character in lower if character not in string.punctuation)).split()
    bare = "".join(character for character in lower if character not in _punctuation())
    return "".join(f" {character} " if FIRST <= character <= LAST else character for character in bare).split()


@cache
def _punctuation() -> frozenset[str]:
    """Of all scripts."""
    return frozenset(character for code in range(sys.maxunicode) if category(character := chr(code))[0] == "P") | {*string.punctuation}
