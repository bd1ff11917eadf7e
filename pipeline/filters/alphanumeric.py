"""Alphanumeric: documents that are numbers, symbols or encoded bytes rather than language."""

from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.base import Filter
from pipeline.filters.words import words_of


@dataclass(frozen=True, kw_only=True)
class Alphanumeric(Filter):
    """Letters where there should be letters, in words of a usual length.

    - `alphabetic_words`: least share of words with a letter in them; `least_length` and `most_length`: limits of the
      mean length of words in characters. Rae et al. 2021 (Gopher, https://arxiv.org/abs/2112.11446, A.1.1).
    - `characters`: least share of letters and digits (with the marks that belong to them) among the characters that
      are no white space. The default is Data-Juicer's (Chen et al. 2023, https://arxiv.org/abs/2309.02033), whose
      share is of all characters.

    A Chinese character is a letter, and a word by itself: it has no length to speak of, and Korean words are short by
    nature. The mean is that of the other words, and tells nothing where these are fewer than half.
    """

    alphabetic_words: float = 0.8
    characters: float = 0.25
    least_length: float = 3.0
    most_length: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("alphabetic_words", "characters")
        self.require_order("least_length", "most_length")

    def verdict(self, document: Document) -> str | None:
        words = words_of(document.text)
        if words.visible and sum(words.characters) / words.visible < self.characters:
            return "few-alphanumeric-characters"
        counts, total = words.counts, len(words.hashes)
        if total and (total - counts.number) / total < self.alphabetic_words:
            return "few-alphabetic-words"
        runs = counts.number + counts.run
        if runs == 0 or 2 * runs < total:
            return None
        length = (words.characters.number + words.characters.run) / runs
        return "short-words" if length < self.least_length else "long-words" if length > self.most_length else None
