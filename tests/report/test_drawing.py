"""Charts and graphs keep what they must show, whatever the numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.report.chart import Line, chart, scale, smoothed, thinned
from pipeline.report.graph import GAP_X, HEIGHT, _arranged, _layers, _settle
from pipeline.report.made import Made
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.words import compact, count, metric, percent, size, summary
from pipeline.storage import LocalStore
from pipeline.workflow.step import Context, Step, topological

numbers = st.floats(-1e12, 1e12)


@given(st.lists(numbers, min_size=1), st.booleans(), st.booleans())
@example([5e-324], False, False)
@example([0.0, 5e-324], True, True)
def test_an_axis_holds_all_values(values: list[float], from_zero: bool, tight: bool) -> None:
    axis = scale([abs(value) for value in values] if from_zero else values, from_zero, tight)
    for value in values:
        assert -1e-9 <= axis.place(abs(value) if from_zero else value) <= 1 + 1e-9
    assert axis.low < axis.high
    assert len(axis.ticks) <= 7


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0.0, 0.003], (0, 0.001, 0.002, 0.003)), ([2.9, 9.3], (2, 4, 6, 8, 10)), ([41_000.0, 42_000.0], (41_000, 41_500, 42_000))],
)
def test_ticks_are_round(values: list[float], ticks: tuple[float, ...]) -> None:
    assert scale(values, from_zero=False).ticks == pytest.approx(ticks)


@given(st.lists(numbers, max_size=3000), st.integers(4, 500))
def test_thinning_keeps_the_least_and_the_greatest_in_order(values: list[float], most: int) -> None:
    points = list(enumerate(values))
    thin = thinned(points, most)
    assert len(thin) <= most + 2
    assert list(thin) == sorted(thin)
    if values:
        assert min(values) == min(y for _, y in thin)
        assert max(values) == max(y for _, y in thin)


@given(st.lists(st.floats(-100, 100) | st.just(math.nan), max_size=600))
def test_smoothing_stays_within_the_values_and_passes_over_what_is_no_number(values: list[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    smooth = smoothed(list(enumerate(values)))
    assert len(smooth) == len(finite)
    assert all(min(finite) - 1e-6 <= y <= max(finite) + 1e-6 for _, y in smooth)


def test_smoothing_a_straight_line_leaves_it_there() -> None:
    line = [(float(x), 3.0 * x) for x in range(500)]
    inner = slice(0, 490)
    assert smoothed(line)[inner] == [pytest.approx(point) for point in line[inner]]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=True, allow_infinity=True, width=32)), max_size=50))
def test_any_numbers_can_be_drawn_or_left_out(points: list[tuple[int, float]]) -> None:
    points.sort(key=lambda point: point[0])
    figure = chart("Loss", [Line("loss", points, "train")], "step")
    assert (figure is None) == (not any(math.isfinite(y) for _, y in points))
    assert "nan" not in (figure or "")


@dataclass(frozen=True, kw_only=True)
class Node(Step[Any]):
    name_of: int
    reads: tuple["Node", ...] = ()

    def run(self, context: Context) -> Mapping[str, Any]:
        return {}


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 9))):
        reads = draw(st.lists(st.sampled_from(nodes), unique_by=lambda node: node.name_of, max_size=3)) if nodes else []
        nodes.append(Node(name_of=number, reads=tuple(reads)))
    return nodes


@given(graphs())
def test_a_graph_is_drawn_downwards_and_nothing_overlaps(nodes: list[Node]) -> None:
    store = LocalStore("/nowhere")
    layers = _arranged(_layers([Made(step, store, None) for step in topological(nodes)]))
    width = _settle(layers)
    assert sum(place.made is not None for layer in layers for place in layer) == len(nodes)
    for layer in layers:
        for place in layer:
            assert place.x >= 0
            assert place.x + place.width <= width
            assert all(above.y + HEIGHT < place.y for above in place.above)
        assert all(right.x - (left.x + left.width) >= GAP_X - 1e-6 for left, right in pairwise(layer))


@given(st.text())
def test_text_in_markup_is_escaped(words: str) -> None:
    for markup in (tag("p", words), tag("p", title=words), tag("p", breakable(words))):
        inner = markup.replace("<wbr>", "").removeprefix("<p").removesuffix("></p>").removesuffix("</p>")
        assert inner.count("<") == 0
        markup.encode("utf-8")


def test_markup_is_nested_and_nothing_is_left_out() -> None:
    inner = tag("b", "x < y")
    assert tag("p", [inner, None, 3, " & ", ("a", ["b"])], class_="note", hidden=True, id=None) == Markup(
        '<p class="note" hidden=""><b>x &lt; y</b>3 &amp; ab</p>'
    )
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (count(1234567), "1,234,567"),
        (compact(98_765), "98,765"),
        (compact(123_456), "123 k"),
        (compact(1_204_000), "1.20 M"),
        (compact(45.6e9), "45.6 B"),
        (compact(math.nan), "nan"),
        (compact(math.inf), "inf"),
        (size(512), "512 B"),
        (size(1500), "1.50 kB"),
        (size(3.2e9), "3.20 GB"),
        (percent(1, 3), "33.3 %"),
        (percent(1, 100_000), "< 0.1 %"),
        (percent(0, 0), "0.0 %"),
        (metric(3.17123), "3.171"),
        (metric(0.0003), "0.0003"),
        (metric(12), "12"),
        (metric(None), "–"),
        (metric("en"), "en"),
        (summary({"read": 5, "kept": 5, "dropped": {}}), "5 documents"),
        (summary({"read": 5, "kept": 4, "dropped": {"x": 1}}), "4 documents of 5"),
        (summary({"scores": {"arc": {"n": 3, "accuracy": 0.25}}}), "arc 0.25 accuracy"),
        (summary({"looked_at": {"sources": 1, "excerpts": 1234}}), "1 source, 1,234 excerpts"),
        (summary({"unknown": 1}), ""),
    ],
)
def test_numbers_in_words(said: str, expected: str) -> None:
    assert said == expected
