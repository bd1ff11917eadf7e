"""Line charts as inline SVG. The plot stretches with the page; its labels are HTML, so that they stay readable on a phone."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from pipeline.report.markup import Markup, tag
from pipeline.report.words import compact, count, metric

EXTENT = 1000
"""The plot's own units in both directions."""
DRAWN_POINTS = 400
READ_POINTS = 160
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One series: `css` is its class; where `dots`, its points are marked."""

    label: str
    points: Sequence[Point]
    css: str
    dots: bool = False
    told: bool = True
    """Whether the legend and the readout name it."""
    spreads: Sequence[tuple[float, float, float]] = ()
    """How sure it is: x, from y, to y."""


SMALLEST = 1e-300
"""Smaller numbers are drawn as 0: their parts are too small to be numbers."""


@dataclass(frozen=True)
class Scale:
    """Values to fractions of an axis, with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


def scale(values: Sequence[float], from_zero: bool, tight: bool = False) -> Scale:
    """An axis that holds all values; `tight` ends at them, else at round ticks."""
    low, high = (0.0 if from_zero else min(values)), max(values)
    largest = max(abs(low), abs(high))
    if largest < SMALLEST:
        low, high = 0.0, 1.0
    elif high - low <= 1e-9 * largest:
        low, high = low - abs(low) / 10, high + abs(high) / 10
    unit = _round_unit((high - low) / 4)
    first, last = math.floor(low / unit), math.ceil(high / unit)
    ticks = [number * unit for number in range(first, last + 1)]
    if tight:
        return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high))
    return Scale(ticks[0], ticks[-1], tuple(ticks))


def _round_unit(raw: float) -> float:
    """1, 2 or 5 times a power of ten, not below `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    from_zero: bool = False,
    words: Callable[[float], str] = metric,
    x_words: Callable[[float], str] | None = None,
) -> Markup | None:
    """A figure with axes, legend and readout; None where there is nothing to draw."""
    lines = [line for line in (_finite(line) for line in lines) if line.points]
    if not lines:
        return None
    across = scale([x for line in lines for x, _ in line.points], from_zero=False, tight=True)
    ends = [y for line in lines for _, *between in line.spreads for y in between]
    up = scale([*(y for line in lines for _, y in line.points), *ends], from_zero)
    told = [line for line in lines if line.told]
    rows = _readout(told, across, lambda x: f"{x_label} {(x_words or count)(x)}", words)
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("span", title, class_="chart-title"),
            tag("span", [tag("span", line.label, class_=f"key {line.css}") for line in told] if len(told) > 1 else None, class_="legend"),
            tag("span", rows[-1][1], class_="readout"),
        ),
        tag(
            "div",
            [tag("span", words(tick), class_="y-tick", style=f"bottom:{100 * up.place(tick):.2f}%") for tick in up.ticks],
            tag("div", _plot(lines, across, up), tag("i", class_="hair", hidden=True), class_="plot", data_readout=json.dumps(rows)),
            tag("span", x_label, class_="x-label"),
            [
                tag("span", (x_words or compact)(tick), class_="x-tick", style=f"left:{100 * across.place(tick):.2f}%")
                for tick in across.ticks
            ],
            class_="axes",
        ),
        class_="chart",
    )


def _plot(lines: Sequence[Line], across: Scale, up: Scale) -> Markup:
    grid = [_path([(0.0, up.place(tick)), (1.0, up.place(tick))], "grid") for tick in up.ticks]
    drawn = [_drawn(line, across, up) for line in lines]
    return tag("svg", grid, drawn, viewBox=f"0 0 {EXTENT} {EXTENT}", preserveAspectRatio="none", aria_hidden="true")


def _drawn(line: Line, across: Scale, up: Scale) -> list[Markup]:
    places = [(across.place(x), up.place(y)) for x, y in thinned(line.points, DRAWN_POINTS)]
    dots = [_path([place, place], f"{line.css} dot") for place in places] if line.dots or len(places) == 1 else []
    spreads = [[(across.place(x), up.place(y)) for y in between] for x, *between in line.spreads]
    return [_path(places, line.css), *(_path(ends, f"{line.css} spread") for ends in spreads), *dots]


def _path(places: Sequence[Point], css: str) -> Markup:
    steps = " ".join(f"{x * EXTENT:.1f} {(1 - y) * EXTENT:.1f}" for x, y in places)
    return tag("path", d=f"M{steps}", class_=css, vector_effect="non-scaling-stroke")


def _finite(line: Line) -> Line:
    points = [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    return replace(line, points=points, spreads=[spread for spread in line.spreads if all(map(math.isfinite, spread))])


def thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """At most about `most` points: of every stretch its least and its greatest, so that no peak is lost."""
    if len(points) <= most:
        return points
    width = math.ceil(2 * len(points) / most)
    kept: list[Point] = []
    for start in range(0, len(points), width):
        stretch = points[start : start + width]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept


def smoothed(points: Sequence[Point]) -> list[Point]:
    """The mean of about a fiftieth of the points around each, so that the curve does not lag behind."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    sums = [0.0, *accumulate(y for _, y in finite)]
    reach = len(finite) // 100
    result = []
    for place, (x, _) in enumerate(finite):
        first = max(0, place - reach)
        last = min(len(finite) - 1, 2 * place - first if first == 0 else place + reach)  # even at the steep beginning
        result.append((x, (sums[last + 1] - sums[first]) / (last + 1 - first)))
    return result


def _readout(
    lines: Sequence[Line], across: Scale, x_words: Callable[[float], str], words: Callable[[float], str]
) -> list[tuple[float, str]]:
    """Places along the x-axis as fractions, with what is to be read there: every line's nearest value so far."""
    every = sorted({x for line in lines for x, _ in line.points})
    places = every[:: max(1, len(every) // READ_POINTS)]
    if places[-1] != every[-1]:
        places.append(every[-1])
    rows = []
    for x in places:
        values = [(line.label, [y for at, y in line.points if at <= x]) for line in lines]
        said = [f"{label} {words(seen[-1])}" if len(lines) > 1 else words(seen[-1]) for label, seen in values if seen]
        rows.append((round(across.place(x), 4), " · ".join([x_words(x), *said])))
    return rows
