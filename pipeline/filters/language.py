"""Language: documents in languages that a corpus is not meant to hold."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.filters.words import words_of

# fmt: off
LANGUAGES = frozenset([
    "ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn", "br", "bs", "ca", "crh", "cs", "cy", "da",
    "de", "dz", "el", "en", "eo", "es", "et", "eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy", "ga", "gcf", "gcr", "gd", "gl", "gom",
    "grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kab", "kik",
    "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms",
    "mt", "my", "ne", "nl", "nn", "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "sdh",
    "se", "si", "sk", "sl", "sn", "so", "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur",
    "uz", "uzs", "vec", "vi", "vo", "wa", "xh", "yo", "zh", "zu", "zxx",
])
# fmt: on
"""Codes (ISO 639) that can be told. "zxx" is no language at all. Cantonese and Wu are written as "zh" is, and are it."""
PIECES, PIECE = 3, 100
KANA_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Language(Filter):
    """Keeps documents in one of the languages `keep`, told with at least the probability `least`.

    A document is judged by up to three pieces of 100 characters, from its beginning, middle and end. Where most of
    their words are Han characters or Kana the script decides (see `identify`); otherwise a naive Bayes model over
    byte n-grams (Lui and Baldwin 2012, langid.py, https://aclanthology.org/P12-3005) as py3langid trained it. Of
    source code it is seldom sure: leave this filter out there.
    """

    keep: tuple[str, ...] = ("en", "zh")
    least: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("least")
        unknown = sorted(set(self.keep) - LANGUAGES)
        if unknown or not self.keep:
            raise RequestError(f"Language.keep is {self.keep!r}: use codes such as 'en', 'zh' or 'de', of which {len(LANGUAGES)} are known")

    def verdict(self, document: Document) -> str | None:
        guess = identify(document.text)
        if guess.language not in self.keep:
            return "other-language"
        return "uncertain" if guess.probability < self.least else None


@dataclass(frozen=True, slots=True)
class Guess:
    """A language (a code of LANGUAGES) and how probable it is."""

    language: str
    probability: float


def identify(text: str) -> Guess:
    """The language of a text.

    Where at least half the words of its pieces are Han characters and Kana, it is Japanese if a tenth of these are
    Kana, else Chinese, and the probability is their share of the words: models over bytes take classical Chinese
    verse for anything between Cantonese and Japanese. A text without letters is "zxx" for certain.
    """
    sample = _sample(text)
    counts = words_of(sample).counts
    unspaced, total = counts.han + counts.kana, sum(counts)
    if unspaced and 2 * unspaced >= total:
        return Guess("ja" if counts.kana / unspaced >= KANA_SHARE else "zh", unspaced / total)
    if total == counts.number:
        return Guess("zxx", 1.0)
    return _model().classify(sample)


def _sample(text: str) -> str:
    """At most PIECES pieces of PIECE characters, from all over the text."""
    if len(text) <= PIECES * PIECE:
        return text
    step = (len(text) - PIECE) // (PIECES - 1)
    return "\n".join(text[start : start + PIECE] for start in range(0, PIECES * step, step))


@dataclass(frozen=True, eq=False)
class _Model:
    """The model of py3langid, as arrays for `loops.language_scores`, which is about ten times as fast as its own loop."""

    languages: Sequence[str]
    classes: Any
    """The place in `languages` of each class of the model: some have several, for one in two scripts."""
    arrays: tuple[Any, ...]

    def classify(self, text: str) -> Guess:
        """The most probable language, as `LanguageIdentifier.classify` finds it with normalised probabilities."""
        import numpy as np

        from pipeline.filters.loops import language_scores

        data = unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode("utf-8", "surrogatepass")
        scores = language_scores(np.frombuffer(data, np.uint8), *self.arrays) / math.sqrt(len(data) or 1)
        chances = np.exp(scores - scores.max())
        merged = np.bincount(self.classes, weights=chances)
        best = int(merged.argmax())
        return Guess(self.languages[best], float(merged[best] / merged.sum()))


@cache
def _model() -> _Model:
    """The model, loaded once a process (about a second and 120 MB)."""
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    moves, rows = np.frombuffer(whole.tk_nextmove, np.uint32), np.frombuffer(whole.tk_row, np.uint16)
    outputs = np.array(whole.tk_output, np.int32)
    labels = ["zh" if label in ("yue", "wuu") else label for label in whole.nb_classes]
    languages = list(dict.fromkeys(labels))
    classes = np.array([languages.index(label) for label in labels])
    return _Model(languages, classes, (moves, rows, outputs, whole.nb_ptc.astype(np.float32), whole.nb_pc))
