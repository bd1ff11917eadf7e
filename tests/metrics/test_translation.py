"""BLEU and chrF from counts of rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from pipeline.metrics.totals import summed, with_intervals
from pipeline.metrics.translation import translation_metrics, translation_scores, translation_signatures

TEXTS = st.text("ab ,.'-1&<>\n今天我好。", max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), st.sampled_from(["en", "de", "zh", "zh-Hant", "ja"]))
def test_rows_add_up_to_the_corpus_score_of_sacrebleu(rows: list[tuple[str, str]], language: str) -> None:
    tokenize = {"zh": "zh", "ja": "char"}.get(language.split("-")[0], "13a")
    said, expected = [row[0] for row in rows], [row[1] for row in rows]
    found = translation_metrics(summed([translation_scores(*row, language) for row in rows]), language)
    assert found["bleu"] == pytest.approx(BLEU(tokenize=tokenize).corpus_score(said, [expected]).score)
    assert found["chrf"] == pytest.approx(CHRF().corpus_score(said, [expected]).score)


def test_the_same_translation_scores_the_whole() -> None:
    texts = ("A dog runs over the green hill.", "Two men are outside near a river.")
    assert translation_metrics(summed([translation_scores(text, text, "en") for text in texts]), "en") == pytest.approx(
        {"bleu": 100, "chrf": 100}
    )


def test_chinese_is_no_single_word_to_bleu() -> None:
    totals = summed([translation_scores("今天的天气很好。", "今天的天气非常好。", "zh")])
    assert translation_metrics(totals, "zh")["bleu"] > 20
    assert translation_metrics(summed([translation_scores("今天的天气很好。", "今天的天气非常好。", "en")]), "en")["bleu"] == 0


def test_an_interval_holds_its_score() -> None:
    rows = [translation_scores(f"a small dog number {number}", f"a small dog number {number % 7}", "en") for number in range(40)]
    found = with_intervals(rows, lambda totals: translation_metrics(totals, "en"))
    for name in ("bleu", "chrf"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_a_signature_says_how_it_was_measured() -> None:
    signatures = translation_signatures("zh")
    assert signatures["bleu"] == "nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:2.6.0"
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")
