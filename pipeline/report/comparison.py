"""Checkpoints side by side: what each scores, and how scores grew with training where that is what the checkpoints differ in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.chart import Line, chart
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.page import framed
from pipeline.report.training import ENDS
from pipeline.report.words import compact, count, metric
from pipeline.storage import Store

AXES = {"pretrain": "tokens", "finetune": "steps"}
"""What says how long a checkpoint was trained, by the kind of its step."""


@dataclass(frozen=True)
class Scored:
    """A checkpoint: its address, what its manifest counts, and what it scores, {task: {metric: value}}."""

    address: str
    facts: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Axis:
    """How long each of some checkpoints was trained, no two of them alike."""

    label: str
    places: tuple[float, ...]


def axis_of(checkpoints: Sequence[Scored]) -> Axis | None:
    """The axis of the charts; None where the checkpoints are of several kinds, or not every one was trained for another time."""
    kind, *others = {checkpoint.address.split("/")[0] for checkpoint in checkpoints}
    if others or kind not in AXES:
        return None
    places = tuple(checkpoint.facts[AXES[kind]] for checkpoint in checkpoints)
    return Axis(AXES[kind], places) if len(set(places)) == len(places) else None


def render_comparison(checkpoints: Sequence[Scored], differences: Sequence[Mapping[str, Any]]) -> str:
    """The page, as HTML; `differences` are from the first checkpoint, as rows of `task`, `metric`, `checkpoint`, `low` and `high`."""
    axis = axis_of(checkpoints)
    sections = [_top(checkpoints), _charts(checkpoints, axis) if axis else None, _scores(checkpoints, differences)]
    return framed(f"{len(checkpoints)} checkpoints side by side · Millrace report", sections)


def write_comparison(checkpoints: Sequence[Scored], differences: Sequence[Mapping[str, Any]], store: Store, path: str) -> str:
    """Write the page to `path` below the root, over an older one; returns where it is."""
    store.put(path, render_comparison(checkpoints, differences).encode())
    return f"{store.url}/{path}"


def _top(checkpoints: Sequence[Scored]) -> Markup:
    heads = [tag("th", words, scope="col") for words in ("", "Checkpoint")]
    heads += [tag("th", words, scope="col", class_="number") for words in ("Tokens", "Steps", "Parameters")]
    rows = [
        tag(
            "tr",
            tag("td", f"({number})"),
            tag("th", tag("code", breakable(checkpoint.address)), scope="row"),
            [tag("td", _counted(checkpoint.facts.get(name)), class_="number") for name in ("tokens", "steps", "parameters")],
        )
        for number, checkpoint in enumerate(checkpoints, 1)
    ]
    return tag(
        "header",
        tag("p", "Millrace report", class_="kind"),
        tag("h1", f"{len(checkpoints)} checkpoints side by side"),
        tag("section", tag("div", tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows)), class_="scrolling"), id="checkpoints"),
    )


def _counted(number: Any) -> str:
    return compact(number) if isinstance(number, int | float) else "–"


def _charts(checkpoints: Sequence[Scored], axis: Axis) -> Markup:
    """A chart a metric, with its intervals as bars."""
    return tag(
        "section",
        tag("h2", f"Scores over {axis.label}"),
        tag("p", "A bar is the 95 % confidence interval.", class_="note"),
        [tag("div", tag("h3", task), tag("div", _task_charts(task, checkpoints, axis), class_="charts")) for task in checkpoints[0].scores],
        id="charts",
    )


def _task_charts(task: str, checkpoints: Sequence[Scored], axis: Axis) -> list[Markup | None]:
    """Those of metrics that depend on the checkpoint, as far as can be seen: they have an interval, or are not the same for all."""
    lines = [_line(name, [each.scores.get(task, {}) for each in checkpoints], axis) for name in _figures(checkpoints[0].scores[task])]
    return [chart(line.label, [line], axis.label) for line in lines if line.spreads or len({y for _, y in line.points}) > 1]


def _line(name: str, metrics: Sequence[Mapping[str, float]], axis: Axis) -> Line:
    found = sorted((place, own) for place, own in zip(axis.places, metrics, strict=True) if name in own)
    low, high = (f"{name}{end}" for end in ENDS)
    spreads = [(place, own[low], own[high]) for place, own in found if low in own]
    return Line(name.replace("_", " "), [(place, own[name]) for place, own in found], "train", dots=True, spreads=spreads)


def _scores(checkpoints: Sequence[Scored], differences: Sequence[Mapping[str, Any]]) -> Markup:
    """A row a metric of every task, a column a checkpoint."""
    surely = {(row["task"], row["metric"], row["checkpoint"]) for row in differences if row["low"] > 0 or row["high"] < 0}
    heads = [tag("th", words, scope="col") for words in ("Task", "Metric")]
    heads += [tag("th", f"({number})", scope="col", class_="number") for number in range(1, len(checkpoints) + 1)]
    return tag(
        "section",
        tag("h2", "Scores"),
        tag("p", "A star: the 95 % interval of the difference from (1), example by example, leaves 0 out.", class_="note"),
        tag(
            "div",
            tag("table", tag("thead", tag("tr", heads)), [_task(task, checkpoints, surely) for task in checkpoints[0].scores]),
            class_="scrolling",
        ),
        id="scores",
    )


def _task(task: str, checkpoints: Sequence[Scored], surely: set[tuple[str, str, str]]) -> Markup:
    names = _figures(checkpoints[0].scores[task])
    head = tag("th", task, tag("small", f" on {count(checkpoints[0].scores[task]['n'])}"), scope="rowgroup", rowspan=len(names))
    return tag(
        "tbody",
        [
            tag(
                "tr",
                None if place else head,
                tag("td", name.replace("_", " ")),
                [_cell(name, each.scores.get(task, {}), (task, name, each.address) in surely) for each in checkpoints],
            )
            for place, name in enumerate(names)
        ],
    )


def _cell(name: str, metrics: Mapping[str, float], differs: bool) -> Markup:
    ends = [metric(metrics[f"{name}{end}"]) for end in ENDS if f"{name}{end}" in metrics]
    spread = [tag("br"), tag("small", " to ".join(ends))] if ends else None
    return tag("td", metric(metrics.get(name)), tag("b", "*") if differs else None, spread, class_="number")


def _figures(metrics: Mapping[str, float]) -> list[str]:
    """The metrics without the bounds of their intervals and the number of examples."""
    return [name for name in metrics if name != "n" and not name.endswith(ENDS)]
