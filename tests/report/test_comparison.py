"""The page on checkpoints side by side: what it says, what it draws, and that it fits every screen."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.chart import Line, chart
from pipeline.report.comparison import Axis, Scored, axis_of, render_comparison
from tests.report.browser import chromium

LONG_NAME = "a_task_with_a_name_that_is_as_long_as_names_of_tasks_may_be"


def scored(name: str, accuracy: float, **facts: Any) -> Scored:
    bounds = {"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.1}
    return Scored(f"pretrain/{name}", facts, {LONG_NAME: {**bounds, "bytes": 1234, "n": 57}})


CHECKPOINTS = [
    scored("c" * 20, 0.25, tokens=4_000_000, steps=40),
    scored("a" * 20, 0.5, tokens=1_000_000),
    scored("b" * 20, 0.75, tokens=2),
]
DIFFERENCE = {"task": LONG_NAME, "metric": "accuracy", "checkpoint": CHECKPOINTS[2].address}


def test_a_chart_is_over_tokens_where_all_were_pretrained_and_over_steps_where_all_were_fine_tuned() -> None:
    assert axis_of(CHECKPOINTS) == Axis("tokens", (4_000_000, 1_000_000, 2))
    assert axis_of([Scored("finetune/a", {"steps": 3}, {}), Scored("finetune/b", {"steps": 9}, {})]) == Axis("steps", (3, 9))


@pytest.mark.parametrize(
    "checkpoints",
    [
        [Scored("pretrain/a", {"tokens": 5}, {}), Scored("pretrain/b", {"tokens": 5}, {})],
        [Scored("pretrain/a", {"tokens": 5, "steps": 1}, {}), Scored("finetune/b", {"steps": 9}, {})],
        [Scored("foreign-checkpoint/a", {}, {}), Scored("foreign-checkpoint/b", {}, {})],
    ],
)
def test_checkpoints_that_do_not_differ_in_how_long_they_were_trained_have_a_table_alone(checkpoints: list[Scored]) -> None:
    assert axis_of(checkpoints) is None
    assert "<svg" not in render_comparison([Scored(each.address, each.facts, CHECKPOINTS[0].scores) for each in checkpoints], [])


def test_every_score_has_its_interval_and_only_what_differs_surely_has_a_star() -> None:
    page = render_comparison(CHECKPOINTS, [{**DIFFERENCE, "low": 0.1, "high": 0.9}])
    assert all(words in page for words in ("0.15 to 0.35", "0.4 to 0.6", "0.65 to 0.85", "on 57", "4.00 M"))
    assert page.count("<b>*</b>") == 1
    assert "<b>*</b>" not in render_comparison(CHECKPOINTS, [{**DIFFERENCE, "low": -0.1, "high": 0.9}])


def test_a_chart_is_drawn_of_each_metric_that_depends_on_the_checkpoint() -> None:
    page = render_comparison(CHECKPOINTS, [])
    assert page.count('<span class="chart-title">') == 1
    assert page.count('class="train spread"') == len(CHECKPOINTS)
    assert "tokens 4,000,000 · 0.25" in page


def test_bars_are_within_the_axis_and_go_from_low_to_high() -> None:
    drawn = chart("Accuracy", [Line("accuracy", [(1, 0.5), (2, 0.5)], "train", spreads=[(1, 0.0, 1.0), (2, 0.25, float("nan"))])], "tokens")
    assert drawn is not None
    assert drawn.count('class="train spread"') == 1
    assert 'd="M0.0 1000.0 0.0 0.0" class="train spread"' in drawn


def test_names_are_text_whatever_they_hold() -> None:
    hostile: Mapping[str, Any] = {"<script>alert(1)</script>": {"<img src=x>": 1.0, "n": 1}}
    page = render_comparison([Scored("pretrain/a", {"tokens": 1}, hostile), Scored("pretrain/b", {"tokens": 2}, hostile)], [])
    assert "<script>alert" not in page
    assert "<img" not in page


def test_the_page_fits_every_screen_and_asks_for_nothing(tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not on PATH (Debian: apt-get install chromium)")
    place = tmp_path / "comparison.html"
    place.write_text(render_comparison(CHECKPOINTS, [{**DIFFERENCE, "low": 0.1, "high": 0.9}]), encoding="utf-8")
    (tmp_path / "browser").mkdir()
    with chromium(tmp_path / "browser") as browser:
        for width in (1280, 390):
            browser.open(place, width=width, dark=False)
            assert browser.complaints() == []
            assert browser.requests() == [place.as_uri()]
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        bars = browser.evaluate(
            "JSON.stringify([...document.querySelectorAll('path.spread')].map(bar => bar.getBoundingClientRect().height))"
        )
        assert all(height > 10 for height in json.loads(bars))
