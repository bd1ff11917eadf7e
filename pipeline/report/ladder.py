"""A ladder of runs: what each came to, the law through them, and what it foretells."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from pipeline.evaluate.ladder import Ladder
from pipeline.report.chart import Line, chart
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.page import framed
from pipeline.report.words import compact, metric
from pipeline.storage import Store

Facts = Mapping[str, Any]
COLUMNS = ("Parameters", "Tokens", "FLOPs", "Loss", "95 %", "The law’s")
NUMBERS = (("E", "E, what no size and no data would take away"), ("alpha", "α, of size"), ("beta", "β, of data"))


def write_ladder(ladder: Ladder, target: Facts | None, store: Store, path: str) -> str:
    """Write the page to `path` below the root, over an older one; returns where it is."""
    store.put(path, render_ladder(ladder.facts, target).encode())
    return f"{store.url}/{path}"


def render_ladder(facts: Facts, target: Facts | None) -> str:
    """The page, as HTML; `facts` are those of `FitLadder`, `target` has `model`, `parameters`, `tokens`, `loss`, `low` and `high`."""
    title = f"A ladder of {len(facts['points'])} runs"
    return framed(f"{title} · Millrace report", [_top(title, target), _charts(facts, target), _law(facts), _runs(facts["points"])])


def _top(title: str, target: Facts | None) -> Markup:
    foretold = target and (
        f"{target['model']}, {compact(target['parameters'])} parameters, on {compact(target['tokens'])} tokens would come to a loss of"
        f" {metric(target['loss'])}; a run of it to one between {metric(target['low'])} and {metric(target['high'])} (95 %)."
    )
    return tag("header", tag("p", "Millrace report", class_="kind"), tag("h1", title), tag("p", foretold) if foretold else None)


def _charts(facts: Facts, target: Facts | None) -> Markup:
    drawn = chart("Held-out loss, nats", _lines(facts, target), "FLOPs", x_words=lambda x: f"{10**x:.1e}")
    note = "Each line is one size, trained on more and more tokens; FLOPs are on a logarithmic axis."
    return tag("section", tag("h2", "Loss by compute"), tag("p", note, class_="note"), tag("div", drawn, class_="charts"), id="charts")


def _lines(facts: Facts, target: Facts | None) -> list[Line]:
    points = sorted(facts["points"], key=lambda point: (point["parameters"], point["flops"]))
    sizes = [list(group) for _, group in groupby(points, key=lambda point: point["parameters"])]
    lines = [Line("runs", _places(size), "train", dots=True, told=not place) for place, size in enumerate(sizes)]
    if facts["frontier"]:
        best = {address: place for place, address in enumerate(facts["frontier"]["checkpoints"])}
        on_it = sorted((point for point in points if point["checkpoint"] in best), key=lambda point: best[point["checkpoint"]])
        lines.append(Line("no cheaper run is better", _places(on_it), "validation"))
    if target:
        place = math.log10(target["flops"])
        spread = (place, target["low"], target["high"])
        lines.append(Line("foretold", [(place, target["loss"])], "validation", dots=True, spreads=[spread]))
    return lines


def _places(points: Sequence[Facts]) -> list[tuple[float, float]]:
    return [(math.log10(point["flops"]), point["loss"]) for point in points]


def _law(facts: Facts) -> Markup:
    rows = [(words, _sure(facts["law"], name)) for name, words in NUMBERS]
    rows += [(f"With more compute C, {name} grow as C to the power of", _sure(facts["optimal"], name)) for name in ("parameters", "tokens")]
    if facts["frontier"]:
        rows.append(("The loss of the best falls as C to the power of −", _sure(facts["frontier"], "exponent")))
    rows.append(("The noise of one run, as a share of its loss", metric(facts["spread"])))
    body = [tag("tr", tag("th", words, scope="row"), tag("td", value, class_="number")) for words, value in rows]
    note = "Loss = E + A / parameters^α + B / tokens^β, fitted to the runs; in brackets the 95 % interval of each number."
    table = tag("div", tag("table", tag("tbody", body)), class_="scrolling")
    return tag("section", tag("h2", "The law"), tag("p", note, class_="note"), table, id="law")


def _sure(facts: Facts, name: str) -> str:
    return f"{metric(facts[name])} ({metric(facts[f'{name}_low'])} to {metric(facts[f'{name}_high'])})"


def _runs(points: Sequence[Facts]) -> Markup:
    heads = [tag("th", "Checkpoint", scope="col"), *(tag("th", words, scope="col", class_="number") for words in COLUMNS)]
    rows = [
        tag(
            "tr",
            tag("th", tag("code", breakable(point["checkpoint"])), scope="row"),
            [tag("td", words, class_="number") for words in _cells(point)],
        )
        for point in points
    ]
    table = tag("div", tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows)), class_="scrolling")
    return tag("section", tag("h2", "Runs"), table, id="runs")


def _cells(point: Facts) -> tuple[str, ...]:
    between = f"{metric(point['low'])} to {metric(point['high'])}"
    counted = (compact(point["parameters"]), compact(point["tokens"]), f"{point['flops']:.2e}")
    return (*counted, metric(point["loss"]), between, metric(point["fitted"]))
