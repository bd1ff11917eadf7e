"""Symbols: hashes and ellipses instead of sentences, lists and teasers instead of text."""

from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.filters.base import Filter, share
from pipeline.filters.words import lines_of, words_of

BULLETS = (*"•‣◦▪▫■□●○◆◇▶·・‧", "- ", "* ")
ELLIPSES = ("...", "…")


@dataclass(frozen=True, kw_only=True)
class Symbols(Filter):
    """Drops documents of hashes, ellipses and bullets.

    The symbol rules of Rae et al. 2021 (Gopher, https://arxiv.org/abs/2112.11446, A.1.1), with their defaults. Largest
    kept: `hashes` ("#") and `ellipses` ("..." or "…"; the Chinese "……" is one) for each word, and, of the lines that
    are not blank, the shares `bullet_lines` that begin with a bullet and `ellipsis_lines` that end in an ellipsis.
    Bullets include "- " and "* " as Markdown writes them.

    In source code and in Markdown a hash is ordinary (comments, headings): raise `hashes` there.
    """

    hashes: float = 0.1
    ellipses: float = 0.1
    bullet_lines: float = 0.9
    ellipsis_lines: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("bullet_lines", "ellipsis_lines")

    def verdict(self, document: Document) -> str | None:
        text = document.text
        words = max(len(words_of(text).hashes), 1)
        if text.count("#") / words > self.hashes:
            return "hashes"
        if (text.count("...") + text.count("…") - text.count("……")) / words > self.ellipses:
            return "ellipses"
        lines = [line for line in lines_of(text) if line]
        if share(sum(line.startswith(BULLETS) for line in lines), len(lines)) > self.bullet_lines:
            return "bullet-lines"
        return "ellipsis-lines" if share(sum(line.endswith(ELLIPSES) for line in lines), len(lines)) > self.ellipsis_lines else None
