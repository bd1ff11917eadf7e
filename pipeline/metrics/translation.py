"""BLEU and chrF of translations, exactly as sacrebleu has them, from counts that add up over rows."""

from collections.abc import Mapping
from functools import cache
from typing import Any

COUNTS = {"bleu": 10, "chrf": 18}
"""The numbers that a row adds to each: lengths, matches and totals of n-grams."""
WITHOUT_SPACES = ("ja", "km", "lo", "my", "th")
"""Languages that are written without spaces, whose tokens are characters here; Chinese has a tokenizer of its own."""


def translation_scores(said: str, expected: str, language: str) -> dict[str, float]:
    """What one translation counts for, against one reference, in a language such as `en`, `zh` or `pt-BR`."""
    return {
        f"{name}/{number}": float(count)
        for name, metric in _metrics(_tokenizer(language)).items()
        for number, count in enumerate(metric._extract_corpus_statistics([said], [[expected]])[0])
    }


def translation_metrics(totals: Mapping[str, float], language: str) -> dict[str, float]:
    """`bleu` (Papineni and others, 2002) and `chrf` (Popović, 2015) of all rows together, from 0 to 100."""
    return {
        name: float(metric._compute_score_from_stats([totals[f"{name}/{number}"] for number in range(COUNTS[name])]).score)
        for name, metric in _metrics(_tokenizer(language)).items()
    }


def translation_signatures(language: str) -> dict[str, str]:
    """sacrebleu's words for how each was measured (Post, 2018): scores with different ones are not to be compared."""
    found = {}
    for name, metric in _metrics(_tokenizer(language)).items():
        metric.corpus_score(["-"], [["-"]])  # it knows the number of references from what it scored last
        found[name] = str(metric.get_signature())
    return found


def _tokenizer(language: str) -> str:
    code = language.split("-")[0]
    return "zh" if code == "zh" else "char" if code in WITHOUT_SPACES else "13a"


@cache
def _metrics(tokenizer: str) -> Mapping[str, Any]:
    """`force`: a reference that looks tokenized is none of sacrebleu's concerns here."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return {"bleu": BLEU(tokenize=tokenizer, force=True), "chrf": CHRF()}
