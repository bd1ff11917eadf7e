"""The corpus: what every stage read, kept and dropped and why, and what each source gave."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.graph import title_of
from pipeline.report.made import Stage, Story
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.tables import SHOWN_SOURCES, bar, heads, with_more
from pipeline.report.words import compact, count, percent

COLUMNS = {"read": "Read", "kept": "Kept", "characters": "Characters", "tokens": "Training tokens"}


def corpus_section(story: Story) -> Markup | None:
    """None where the graph has no stage of documents."""
    if not story.stages:
        return None
    return tag("section", tag("h2", "The examples" if story.tuned else "The corpus"), _funnel(story), _sources(story), id="corpus")


def _funnel(story: Story) -> Markup:
    """A row a stage and a row a reason; a reason's bar begins where what was kept ends, so that all bars share one scale."""
    stages = story.funnel
    whole = max((stage.read for stage in stages), default=0)
    read = sum(made.facts["read"] for made in story.entering)
    kept = sum(made.facts["kept"] for made in story.leaving)
    dropped = sum(number for stage in stages for number in stage.dropped.values())
    return tag(
        "div",
        tag(
            "p",
            *(tag("strong", count(read)), " read = ", tag("strong", count(kept)), " kept + ", tag("strong", count(dropped)), " dropped"),
            class_="balance",
        ),
        tag(
            "table",
            tag("thead", heads("Stage", ("", "bars"), ("Documents", "number"), ("Share", "number"))),
            [_stage(stage, whole) for stage in stages],
            class_="funnel",
        ),
        class_="scrolling",
    )


def _stage(stage: Stage, whole: int) -> Markup:
    rows, before = [], stage.kept
    for reason, dropped in sorted(stage.dropped.items(), key=lambda item: (-item[1], item[0])):
        rows.append(
            tag(
                "tr",
                tag("th", breakable(reason), scope="row", class_="reason"),
                tag("td", bar("dropped", before, dropped, whole), class_="bars"),
                tag("td", f"− {count(dropped)}", class_="number"),
                tag("td", percent(dropped, stage.read), class_="number"),
            )
        )
        before += dropped
    head = tag(
        "tr",
        tag("th", title_of(stage.name), tag("small", f" {stage.steps} steps") if stage.steps > 1 else None, scope="row"),
        tag("td", bar("kept", 0, stage.kept, whole), class_="bars"),
        tag("td", count(stage.kept), tag("small", f" of {count(stage.read)}"), class_="number"),
        tag("td", percent(stage.kept, stage.read), class_="number"),
        class_="stage",
    )
    return tag("tbody", head, rows)


def _sources(story: Story) -> Markup | None:
    rows = sorted(_by_source(story).items(), key=lambda item: (-item[1].get("characters", 0), item[0]))
    if not rows:
        return None
    columns = [column for column in COLUMNS if any(column in counts for _, counts in rows)]
    whole = sum(counts.get("characters", 0) for _, counts in rows)
    columns_heads = ((COLUMNS[column], "number") for column in columns)
    head = tag("thead", heads("Source", *columns_heads, ("Share of characters", "bars share")))
    bodies = [tag("tbody", _source(name, counts, columns, whole)) for name, counts in rows]
    return tag("div", tag("h3", "By source"), with_more(bodies, SHOWN_SOURCES, head, "sources", "more sources"))


def _source(name: str, counts: Mapping[str, Any], columns: list[str], whole: int) -> Markup:
    characters = counts.get("characters", 0)
    return tag(
        "tr",
        tag("th", breakable(name), scope="row", class_="source"),
        [tag("td", _cell(column, counts.get(column)), class_="number") for column in columns],
        tag("td", bar("kept", 0, characters, whole), tag("small", percent(characters, whole)), class_="bars share"),
    )


def _cell(column: str, number: int | None) -> str:
    if number is None:
        return "–"
    return count(number) if column in ("read", "kept") else compact(number)


def _by_source(story: Story) -> dict[str, dict[str, Any]]:
    """What came in of each source, what the last stages kept of it, and its tokens to train on."""
    found: dict[str, dict[str, Any]] = {}
    for made in story.entering:
        for name, counts in made.facts.get("sources", {}).items():
            _add(found, name, "read", counts.get("kept", 0) + counts.get("dropped", 0))
    for made in story.texts:
        for name, counts in made.facts.get("sources", {}).items():
            for column in ("kept", "characters"):
                _add(found, name, column, counts.get(column, 0))
    for made in story.tokenized:
        for name, counts in made.facts.get("sources", {}).items():
            _add(found, name, "tokens", counts.get("tokens", 0))
    return found


def _add(found: dict[str, dict[str, Any]], name: str, column: str, number: int) -> None:
    counts = found.setdefault(name, {})
    counts[column] = counts.get(column, 0) + number
