"""A set of words that is looked up in the hashes of a text's words, many at once."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.filters.words import words_of


@dataclass(frozen=True, eq=False)
class Lexicon:
    """hashes [forms], ascending: the forms of the words; words [forms]: the place of each form's word."""

    hashes: NDArray[np.uint64]
    words: NDArray[np.int64]

    def count(self, hashes: NDArray[np.uint64]) -> int:
        """How many of a text's words are in the lexicon."""
        return int(np.count_nonzero(self._found(hashes)[0]))

    def distinct(self, hashes: NDArray[np.uint64]) -> int:
        """How many words of the lexicon are in a text."""
        found, places = self._found(hashes)
        return len(np.unique(self.words[places[found]]))

    def _found(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return self.hashes[places] == hashes, places


@cache
def lexicon(words: tuple[str, ...]) -> Lexicon:
    """The lexicon of some words (one word each in the sense of `words_of`), as they are, capitalised and in capitals."""
    forms: dict[int, int] = {}
    for place, word in enumerate(words):
        for form in (word, word.capitalize(), word.upper()):
            (only,) = words_of.__wrapped__(form).hashes.tolist()
            forms.setdefault(only, place)
    hashes = np.array(sorted(forms), np.uint64)
    return Lexicon(hashes, np.array([forms[each] for each in hashes.tolist()], np.int64))
