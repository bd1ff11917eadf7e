"""Length: documents too short to say something, or too long to be one document."""

from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.base import Filter
from pipeline.filters.words import words_of


@dataclass(frozen=True, kw_only=True)
class WordCount(Filter):
    """Keeps documents of a usual length in words.

    From `least` to `most` of them (None: no limit); what a word is, `pipeline.filters.words` says. Defaults: Rae et
    al. 2021 (Gopher, https://arxiv.org/abs/2112.11446, A.1.1). They drop most of what is short by nature, such as
    poems of four lines: give a smaller `least` there.
    """

    least: int = 50
    most: int | None = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_order("least", "most")

    def verdict(self, document: Document) -> str | None:
        return _verdict(len(words_of(document.text).hashes), self.least, self.most)


@dataclass(frozen=True, kw_only=True)
class CharacterCount(Filter):
    """Keeps documents of a usual length in characters.

    From `least` to `most` of them (Unicode code points, white space included; None: no limit). Default: Data-Juicer's
    text length filter (Chen et al. 2023, https://arxiv.org/abs/2309.02033).
    """

    least: int = 10
    most: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_order("least", "most")

    def verdict(self, document: Document) -> str | None:
        return _verdict(len(document.text), self.least, self.most)


def _verdict(count: int, least: int, most: int | None) -> str | None:
    if count < least:
        return "too-few"
    return "too-many" if most is not None and count > most else None
