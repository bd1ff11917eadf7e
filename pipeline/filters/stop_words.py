"""StopWords: texts without the small words that sentences are held together by."""

from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.base import Filter, share
from pipeline.filters.language import identify
from pipeline.filters.lexicon import lexicon
from pipeline.filters.stop_word_lists import LISTS
from pipeline.filters.words import words_of

UNSPACED = ("zh", "ja")


@dataclass(frozen=True, kw_only=True)
class StopWords(Filter):
    """Drops lists, tables and keywords, which have few stop words of their language.

    Texts of whose words fewer than the share `least` are stop words. After the stop word filter of ROOTS (Laurençon et
    al. 2022, https://arxiv.org/abs/2303.03915), whose thresholds differ by language. The language is the one that
    `Language` tells, and its words are those of `stop_word_lists`; a text in another language than the dozen there is
    kept. Of Chinese and Japanese the words are characters, and foreign words within it are not counted. The default
    lies well below prose in each of the languages, classical Chinese among them; verse does without such words, and four
    in ten classical poems lie below it: leave the filter out there.
    """

    least: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("least")

    def verdict(self, document: Document) -> str | None:
        language = identify(document.text).language
        if language not in LISTS:
            return None
        words = words_of(document.text)
        whole = words.counts.han + words.counts.kana if language in UNSPACED else len(words.hashes)
        found = lexicon(tuple(LISTS[language].split())).count(words.hashes)
        return "few-stop-words" if share(found, whole) < self.least else None
