"""Documents themselves: what each filter dropped and what it hardly kept, and duplicates beside what they repeat."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pipeline.report.difference import Equal, Piece, Row, difference, folded
from pipeline.report.looked import Looked
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.words import count

Excerpt = Mapping[str, Any]


def clusters_section(looked: Looked) -> Markup | None:
    """The largest clusters, each with differences; None where nothing was a duplicate."""
    if not looked.clusters:
        return None
    rows = [row for row in looked.excerpts if row["role"] in ("original", "duplicate")]
    pairs: dict[str, list[tuple[Excerpt, Excerpt]]] = {}
    for original, duplicate in zip(rows[::2], rows[1::2], strict=True):
        pairs.setdefault(original["id"], []).append((original, duplicate))
    return tag(
        "section",
        tag("h2", "Duplicates"),
        tag("p", "The documents that most others repeat, and those of these that are least like them: kept on the left.", class_="note"),
        [_cluster(cluster, pairs.get(cluster["kept"], []), number == 0) for number, cluster in enumerate(looked.clusters)],
        id="duplicates",
    )


def _cluster(cluster: Mapping[str, Any], pairs: Sequence[tuple[Excerpt, Excerpt]], is_open: bool) -> Markup:
    summary = tag("summary", tag("b", f"{count(cluster['drops'])} dropped"), " for ", breakable(cluster["origin"] or cluster["kept"]))
    return tag("details", summary, [_pair(*pair) for pair in pairs], open=is_open)


def _pair(original: Excerpt, duplicate: Excerpt) -> Markup:
    rows = difference(original["text"], duplicate["text"])
    heads = tag("tr", tag("th", _title(original), scope="col"), tag("th", _title(duplicate), scope="col"))
    words = "no difference as far as is shown" if all(row.equal for row in rows) else None
    return tag(
        "div",
        tag("p", f"{duplicate['reason']}, similarity {duplicate['similarity']:.3f}", f": {words}" if words else None, class_="note"),
        tag("table", tag("thead", heads), tag("tbody", [_row(row) for row in folded(rows)]), class_="difference"),
    )


def _title(excerpt: Excerpt) -> Markup:
    """Where a document is from, and what of it is compared."""
    end = excerpt["start"] + len(excerpt["text"])
    part = f" characters {count(excerpt['start'] + 1)} to {count(end)}" if excerpt["start"] or end < excerpt["characters"] else ""
    return tag("span", breakable(excerpt["origin"]), tag("small", part) if part else None)


def _row(row: Row | Equal) -> Markup:
    if isinstance(row, Equal):
        lines = "one equal line" if row.rows == 1 else f"{count(row.rows)} equal lines"
        return tag("tr", tag("td", lines, colspan=2, class_="equal"))
    return tag("tr", tag("td", _pieces(row.left, "del"), dir="auto"), tag("td", _pieces(row.right, "ins"), dir="auto"))


def _pieces(pieces: Iterable[Piece], element: str) -> list[Markup | str]:
    return [tag(element, piece.text) if piece.marked else piece.text for piece in pieces]


def excerpts_section(looked: Looked) -> Markup | None:
    """For each stage and reason, and for each filter, some documents."""
    dropped = [row for row in looked.excerpts if row["role"] == "dropped"]
    narrow = [row for row in looked.excerpts if row["role"] == "narrow"]
    if not dropped and not narrow:
        return None
    return tag(
        "section",
        tag("h2", "Samples of documents"),
        tag("h3", "Dropped") if dropped else None,
        _groups(dropped, lambda row: f"{row['stage']}/{row['reason']}"),
        tag("h3", "Kept narrowly") if narrow else None,
        tag("p", "These would have been dropped, were one of the filter's numbers a quarter stricter.", class_="note") if narrow else None,
        _groups(narrow, lambda row: str(row["stage"])),
        id="documents",
    )


def _groups(rows: Sequence[Excerpt], name: Callable[[Excerpt], str]) -> list[Markup]:
    """What stands together under one name, the first open."""
    groups = [(title, [_excerpt(row) for row in found]) for title, found in groupby(rows, key=name)]
    return [
        tag("details", tag("summary", tag("b", breakable(title))), found, open=number == 0) for number, (title, found) in enumerate(groups)
    ]


def _excerpt(row: Excerpt) -> Markup:
    """A document: where it is from, and how it begins."""
    change = f" {row['reason']}" if row["role"] == "narrow" else ""
    more = "…" if len(row["text"]) < row["characters"] else ""
    title = tag("p", breakable(row["origin"]), tag("small", change) if change else None, class_="note")
    return tag("div", title, tag("blockquote", row["text"], more, dir="auto"))
