"""C4: keeps the lines of web pages that are sentences, and the pages that have a few of them."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Edit, Editor
from pipeline.filters.sentences import ELLIPSES, END_MARKS, sentences
from pipeline.filters.words import lines_of, words_of

POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
LOREM_IPSUM, CURLY_BRACKET = "lorem-ipsum", "curly-bracket"
CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")
"""Cannot backtrack: no bracket is in what it repeats."""


@dataclass(frozen=True, kw_only=True)
class C4(Editor):
    """Keeps the lines of pages that are sentences, and pages with a few of these.

    The rules of Raffel et al. 2020 (T5, https://arxiv.org/abs/1910.10683, 2.2), as its published pipeline has them.

    A line is removed if it does not end in a sentence's mark or a closing quote, or ends in an ellipsis
    ("no-end-mark"), has fewer than `least_words` ("few-words"), a word of more than `longest_word` characters
    ("long-word"), or speaks of JavaScript ("javascript") or of cookies and terms of use ("policy"). Wikipedia's
    citation marks ("[1]", "[edit]") are taken out ("citation"), and so is the space around lines and between them.

    A page is dropped if a line that ends and is long enough has "lorem ipsum" or a curly bracket in it, if what
    is left has fewer than `least_sentences`, or one of `bad_words` ("bad-word"): the paper takes a public list of these,
    of which none comes with this filter.

    The defaults are those of the pipeline in TensorFlow Datasets (five words a line, three sentences, a thousand
    characters); the paper's text says three words a line. The marks of other scripts end a line too, a Chinese
    character is a word, and a bad word in a script without spaces is found wherever it stands. Sentences are counted
    by their marks, where the pipeline asks a model: abbreviations count.

    It is a rule for pages: of Chinese verse it takes out the titles, which end in no mark, and lines of fewer than five
    characters, and it drops poems of two sentences, one in four. Chinese list items that end in "；" go, as in English.
    """

    least_words: int = 5
    least_sentences: int = 3
    longest_word: int = 1000
    bad_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(word, str) and word.strip() for word in self.bad_words):
            raise RequestError(f"C4.bad_words is {self.bad_words!r}: use a tuple of words that are not empty")

    def edit(self, document: Document) -> Edit:
        kept, removed = list[str](), Counter[str]()
        for found in lines_of(document.text):
            if not found:
                continue
            line, citations = CITATION.subn("", found) if "[" in found else (found, 0)
            fault = self._fault(found, line)
            if fault in (LOREM_IPSUM, CURLY_BRACKET):
                return Edit(document.text, {}, fault)
            if fault is not None:
                removed[fault] += 1
                continue
            kept.append(line)
            if citations:
                removed["citation"] += citations
        return self._page(document.text, kept, removed)

    def _fault(self, found: str, line: str) -> str | None:
        """What is wrong with a line, as it was found and without its citation marks."""
        if len(found) > self.longest_word and self._has_long_word(found):
            return "long-word"
        if not line.endswith(END_MARKS) or line.endswith(ELLIPSES):
            return "no-end-mark"
        if len(line.split(None, self.least_words)) < self.least_words and _words(line) < self.least_words:
            return "few-words"
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            return LOREM_IPSUM
        if "javascript" in lowered:
            return "javascript"
        if "{" in line:
            return CURLY_BRACKET
        return "policy" if any(policy in lowered for policy in POLICIES) else None

    def _has_long_word(self, line: str) -> bool:
        return any(len(word) > self.longest_word and not _is_unspaced(word) for word in line.split())

    def _page(self, text: str, kept: list[str], removed: Counter[str]) -> Edit:
        """The verdict on the lines that are left."""
        if len(kept) < self.least_sentences and (not kept or sentences(kept) < self.least_sentences):
            return Edit(text, {}, "few-sentences")
        left = "\n".join(kept)
        if self.bad_words and _bad(self.bad_words).search(left.lower().encode("utf-8", "surrogatepass")) is not None:
            return Edit(text, {}, "bad-word")
        return Edit(left, removed, None)


def _words(line: str) -> float:
    """The words of a line that is written without spaces; 0 of others."""
    return 0 if line.isascii() else _unspaced_words(line)


def _is_unspaced(text: str) -> bool:
    return _unspaced_words(text) > 0


def _unspaced_words(text: str) -> float:
    """The words of a text if at least half of them are in scripts that are written without spaces, else 0.

    They are not remembered: that would push out those of the document.
    """
    counts = words_of.__wrapped__(text).counts
    total = sum(counts)
    return total if 2 * (counts.han + counts.kana + counts.syllable) >= total else 0


@cache
def _bad(words: tuple[str, ...]) -> Any:
    """Any of the words, with no letter of the alphabet beside one that begins or ends in a script with spaces."""
    import re2

    options = re2.Options()
    options.max_mem = 256 << 20
    return re2.compile("|".join(_alone(word.strip().lower()) for word in words).encode(), options)


def _alone(word: str) -> str:
    import re2

    before, after = ("" if _is_unspaced(word[place]) else edge for place, edge in ((0, r"(?:^|[^\pL\pM])"), (-1, r"(?:$|[^\pL\pM])")))
    return f"{before}{re2.escape(word)}{after}"
