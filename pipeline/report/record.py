"""The record: the graph, the exact recipe of every step, its inputs, and with what it was built."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.graph import anchor, graph_svg, title_of
from pipeline.report.made import Made, Story
from pipeline.report.markup import Markup, tag
from pipeline.report.words import count, lasting, size, summary

SHOWN_FILES = 12
SHORT_DIGITS = 12
BESIDE_WIDTH = 480


def graph_section(story: Story) -> Markup:
    """The graph, and a line a step: beside it, or where it is broad, below."""
    graph, graph_width = graph_svg(story.made)
    rows = [
        tag(
            "tr",
            tag("th", tag("a", title_of(made.name), href=f"#{anchor(made)}"), scope="row"),
            tag("td", summary(made.facts) if made.manifest else "not built"),
            tag("td", size(made.bytes) if made.bytes else "–", class_="number"),
            tag("td", lasting(made.seconds) if made.manifest else "–", class_="number"),
        )
        for made in story.made
    ]
    head = tag(
        "tr",
        tag("th", "Step", scope="col"),
        tag("th", "What it left", scope="col"),
        tag("th", "Size", scope="col", class_="number"),
        tag("th", "Time", scope="col", class_="number"),
    )
    return tag(
        "section",
        tag("h2", "How it was made"),
        tag(
            "div",
            tag("div", graph, class_="graph-frame"),
            tag("table", tag("thead", head), tag("tbody", rows), class_="steps"),
            class_="beside" if graph_width <= BESIDE_WIDTH else None,
        ),
        id="graph",
    )


def recipes_section(story: Story) -> Markup:
    """Every step in full."""
    return tag(
        "section",
        tag("h2", "Exact recipe"),
        tag(
            "p",
            "A step's address is the fingerprint of its recipe. The same recipe gives the same address and the same bytes.",
            class_="note",
        ),
        [_recipe(made) for made in story.made],
        id="recipes",
    )


def _recipe(made: Made) -> Markup:
    return tag(
        "details",
        tag("summary", tag("b", title_of(made.name)), " ", tag("code", made.address)),
        tag("pre", tag("code", json.dumps(made.recipe, indent=2, ensure_ascii=False))),
        _inputs(made),
        _files(made),
        _built(made),
        id=anchor(made),
    )


def _inputs(made: Made) -> Markup | None:
    inputs = made.manifest.inputs if made.manifest else {path: {"address": step.address} for path, step in made.step.inputs.items()}
    if not inputs:
        return None
    rows = [
        tag("tr", tag("th", path, scope="row"), tag("td", tag("code", found["address"])), tag("td", tag("code", found.get("content", "–"))))
        for path, found in inputs.items()
    ]
    head = tag("tr", tag("th", "Input", scope="col"), tag("th", "Address", scope="col"), tag("th", "Digest of its bytes", scope="col"))
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)))


def _files(made: Made) -> Markup | None:
    if made.manifest is None or not made.manifest.files:
        return None
    files = made.manifest.files
    rows = [
        tag(
            "tr",
            tag("td", tag("code", entry.path)),
            tag("td", "–" if entry.rows is None else count(entry.rows), class_="number"),
            tag("td", size(entry.bytes), class_="number"),
            tag("td", tag("code", f"{entry.checksum.removeprefix('sha256:')[:SHORT_DIGITS]}…")),
        )
        for entry in files[:SHOWN_FILES]
    ]
    head = tag("tr", tag("th", "File"), tag("th", "Rows", class_="number"), tag("th", "Size", class_="number"), tag("th", "SHA-256"))
    more = f"and {count(len(files) - SHOWN_FILES)} more files" if len(files) > SHOWN_FILES else None
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), tag("p", more, class_="note") if more else None)


def _built(made: Made) -> Markup | None:
    provenance = made.provenance
    if not provenance:
        return None
    who, where = provenance.get("user", "unknown"), provenance.get("host", "unknown")
    return tag("p", f"Built {provenance.get('started', '')} by {who} on {where}, in {lasting(made.seconds)}.", class_="note")


def environment_section(story: Story) -> Markup | None:
    """With what it was built; several values where steps were built at different times or places."""
    provenances = [made.provenance for made in story.made if made.provenance]
    if not provenances:
        return None
    rows = [
        ("Built", _span([str(found.get("started", "")) for found in provenances])),
        *((title_of(name), _each(provenances, name)) for name in ("host", "user", "platform", "python")),
    ]
    packages = sorted({name for found in provenances for name in found.get("packages", {})})
    rows += [(name, _each([found.get("packages", {}) for found in provenances], name)) for name in packages]
    return tag(
        "section",
        tag("h2", "Environment"),
        tag("dl", [tag("div", tag("dt", name), tag("dd", words)) for name, words in rows if words], class_="pairs"),
        id="environment",
    )


def _each(found: Sequence[Mapping[str, Any]], name: str) -> str:
    return ", ".join(dict.fromkeys(str(values[name]) for values in found if name in values))


def _span(times: Sequence[str]) -> str:
    times = sorted(time for time in times if time)
    return times[0] if not times or times[0] == times[-1] else f"{times[0]} to {times[-1]}"
