"""GopherQuality: the quality rules of Gopher's MassiveText, as one filter."""

from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.base import Filter
from pipeline.filters.length import WordCount
from pipeline.filters.lexicon import Lexicon, lexicon
from pipeline.filters.symbols import Symbols
from pipeline.filters.words import words_of

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
CHINESE = ("的", "是", "不", "了", "在", "有", "也", "和")


@dataclass(frozen=True, kw_only=True)
class GopherQuality(Filter):
    """Keeps prose: Gopher's rules on length, words, symbols and stop words.

    The quality rules of Rae et al. 2021 (Gopher, https://arxiv.org/abs/2112.11446, A.1.1) with their defaults.

    - `words`: 50 to 100,000 words;
    - `letters`: a mean word length of 3 to 10 characters, and a letter in 80 % of the words;
    - `symbols`: at most one hash and one ellipsis in ten words, 90 % of lines that begin with a bullet, and 30 % that
      end in an ellipsis;
    - `stop_words`: at least so many different words of the, be, to, of, and, that, have, with.

    The parts are the filters of the same rules, and their docstrings say how each counts. The paper's rules are for
    English; for Chinese the words 的 是 不 了 在 有 也 和 are added to the eight, so that prose of either language
    passes, and a text in another language, or classical verse, is "few-stop-words": give `stop_words=0` there. A
    Chinese character is a word, so most poems are "too-few-words" before that, and rightly: they are short.
    """

    words: WordCount = WordCount()
    letters: Alphanumeric = Alphanumeric(characters=0.0)
    symbols: Symbols = Symbols()
    stop_words: int = 2

    def verdict(self, document: Document) -> str | None:
        count = self.words.verdict(document)
        return (
            (f"{count}-words" if count else None)
            or self.letters.verdict(document)
            or self.symbols.verdict(document)
            or self._stop_words(document.text)
        )

    def _stop_words(self, text: str) -> str | None:
        return "few-stop-words" if _eight().distinct(words_of(text).hashes) < self.stop_words else None


def _eight() -> Lexicon:
    return lexicon((*ENGLISH, *CHINESE))
