"""Language: documents in languages that a corpus is not meant to hold."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.filters.scripts import chinese_script, written_in
from pipeline.filters.words import words_of

# fmt: off
LANGUAGES = frozenset([
    "ace", "af", "am", "an", "ar", "as", "az", "ba", "bcl", "be", "bg", "bn", "br", "bs", "ca", "crh", "cs", "cy", "da",
    "de", "dz", "el", "en", "eo", "es", "et", "eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy", "ga", "gcf", "gcr", "gd", "gl", "gom",
    "grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kab", "kik",
    "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms",
    "mt", "my", "ne", "nl", "nn", "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "sdh",
    "se", "si", "sk", "sl", "sn", "so", "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur",
    "uz", "uzs", "vec", "vi", "vo", "wa", "xh", "yo", "zh", "zu", "zxx",
])
# fmt: on
"""Codes (ISO 639) that can be told. "zxx" is no language at all."""
PART_OF = {"yue": "zh", "wuu": "zh", "ary": "ar", "arz": "ar"}
"""Cantonese, Wu, Moroccan and Egyptian Arabic are languages that the model tells from Chinese and Arabic, but badly: they are these."""
CHINESE = ("zh-Hans", "zh-Hant")
FREQUENT = frozenset(["ru", "ar", "fa", "hi", "bn", "he", "el"])
"""Languages that are far more common than the others of their script: the model takes all for equally common."""
FREQUENCY = 2.0
"""How much likelier: in between, so that a few words of the others are told as well."""
PIECES, PIECE = 3, 100
KANA_SHARE, MOST_LETTERS = 0.1, 0.5


@dataclass(frozen=True, kw_only=True)
class Language(Filter):
    """Keeps documents in the languages that are named.

    These are `keep`, each told with at least the probability `least`. A document is judged by up to three pieces of
    100 characters, from its beginning, middle and end. The script decides where it is that of one language (see
    `identify`); otherwise a naive Bayes model over byte n-grams (Lui and Baldwin 2012, langid.py,
    https://aclanthology.org/P12-3005) as py3langid trained it, among the languages of the script. Of source code it is
    seldom sure: leave this filter out there.

    "zh" keeps Chinese however it is written, "zh-Hans" what is written in simplified and "zh-Hant" what is written in
    traditional characters. A text of characters that both write is either.
    """

    version: ClassVar[int] = 2
    keep: tuple[str, ...] = ("en", "zh")
    least: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("least")
        if not self.keep or set(self.keep) - LANGUAGES - set(CHINESE):
            known = len(LANGUAGES)
            raise RequestError(
                f"Language.keep is {self.keep!r}: use codes such as 'en', 'zh', 'zh-Hans' or 'de', of which {known} are known"
            )

    def verdict(self, document: Document) -> str | None:
        guess = identify(document.text)
        if not any(tag in self.keep for tag in guess.tags):
            return "other-language"
        return "uncertain" if guess.probability < self.least else None


@dataclass(frozen=True, slots=True)
class Guess:
    """A language (a code of LANGUAGES), how probable it is, and the script of Chinese where it can be told (Hans or Hant)."""

    language: str
    probability: float
    script: str | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """What the text may be called."""
        if self.language != "zh":
            return (self.language,)
        return ("zh", f"zh-{self.script}") if self.script else ("zh", *CHINESE)


def identify(text: str) -> Guess:
    """The language of a text.

    Where at least half the words of its pieces are Han characters and Kana, it is Japanese if a tenth of these are
    Kana, else Chinese, and the probability is their share of the words: models over bytes take classical Chinese
    verse for anything between Cantonese and Japanese. Where most letters are in another script than Latin, it is one
    of the languages of that script, and the probability is the share of these letters, times that of the language
    among the others where there are several. A text without letters is "zxx" for certain.
    """
    sample = _sample(text)
    counts = words_of(sample).counts
    unspaced, total = counts.han + counts.kana, sum(counts)
    if unspaced and 2 * unspaced >= total:
        japanese = counts.kana / unspaced >= KANA_SHARE
        return Guess("ja", unspaced / total) if japanese else Guess("zh", unspaced / total, chinese_script(sample))
    if total == counts.number:
        return Guess("zxx", 1.0)
    languages, share = written_in(sample)
    if not languages or share < MOST_LETTERS:
        return _model().classify(sample)
    guess = Guess(languages[0], 1.0) if len(languages) == 1 else _model().classify(sample, languages)
    return replace(guess, probability=guess.probability * share)


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

    def classify(self, text: str, among: Sequence[str] = ()) -> Guess:
        """The most probable language, as `LanguageIdentifier.classify` finds it with normalised probabilities.

        With `among`, the others are impossible, and those of FREQUENT are likelier.
        """
        import numpy as np

        from pipeline.filters.loops import language_scores

        data = unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode("utf-8", "surrogatepass")
        scores = language_scores(np.frombuffer(data, np.uint8), *self.arrays) / math.sqrt(len(data) or 1)
        if among:
            weights = [(FREQUENCY if name in FREQUENT else 1.0) * (name in among) for name in self.languages]
            with np.errstate(divide="ignore"):
                scores = scores + np.log(weights)[self.classes]
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
    labels = [PART_OF.get(label, label) for label in whole.nb_classes]
    languages = list(dict.fromkeys(labels))
    classes = np.array([languages.index(label) for label in labels])
    return _Model(languages, classes, (moves, rows, outputs, whole.nb_ptc.astype(np.float32), whole.nb_pc))
