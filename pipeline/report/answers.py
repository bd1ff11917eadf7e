"""A few of the answers that were kept, beside what was asked: a score is believed by those who have looked."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.made import Made, Story
from pipeline.report.markup import Markup, tag
from pipeline.report.words import metric
from pipeline.workflow.artifact import Artifact

KIND = "answers"
SHOWN = 8
"""Answers of each file."""
LONGEST = 400
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Shown:
    """One answer in words."""

    asked: str
    answered: str
    worth: str


def answers_section(story: Story) -> Markup | None:
    """The first answers of every evaluation and fine-tuning; None where none were kept."""
    tables = [table for made in story.made for table in _tables(made)]
    if not tables:
        return None
    note = tag("p", "The first of each set; all are in the files of the step.", class_="note")
    return tag("section", tag("h2", "Answers"), note, tables, id="answers")


def _tables(made: Made) -> Iterator[Markup]:
    if made.manifest is None:
        return
    artifact = Artifact(made.store, made.manifest)
    for entry in artifact.files(KIND):
        for name, rows in _first(str(artifact.local(entry))).items():
            heads = tag("tr", [tag("th", words, scope="col") for words in ("Asked", "Answered", "Score")])
            body = [tag("tr", [tag("td", cell, dir="auto") for cell in (row.asked, row.answered, row.worth)]) for row in rows]
            yield tag("div", tag("h3", name), tag("table", tag("thead", heads), tag("tbody", body), class_="answers"), class_="scrolling")


def _first(path: str) -> dict[str, list[Shown]]:
    """The first answers of each set or task in a file."""
    from pyarrow.parquet import ParquetFile

    found = dict[str, list[Shown]]()
    with ParquetFile(path) as file:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                rows = found.setdefault(str(row.get("task") or row.get("set")), [])
                if len(rows) < SHOWN:
                    rows.append(_shown(row))
    return found


def _shown(row: Mapping[str, Any]) -> Shown:
    """A row that an evaluation or a fine-tuning kept."""
    scores = json.loads(row.get("scores") or row.get("score") or "{}")
    worth = ", ".join(f"{name.replace('_', ' ')} {metric(value)}" for name, value in scores.items() if "/" not in name)
    if "asked" in row:
        expected = f"\n(expected: {row['expected']})" if row["expected"] is not None else ""
        return Shown(_cut(row["asked"] or ""), _cut(f"{row['answered'] or ''}{expected}"), worth)
    return Shown(_cut(_words(json.loads(row["row"]))), _cut(_words(json.loads(row["answer"]))), worth)


def _words(value: Any, between: str = "\n") -> str:
    """JSON as lines of names and values, what is within them on one line; numbers in four figures."""
    if isinstance(value, dict):
        return between.join(f"{name}: {_words(item, ', ')}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item, ", ") for item in value)
    return metric(value) if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
