"""What each source lost, at which stage and why: the funnel once more, with the sources apart."""

from pipeline.report.looked import Looked, Losses
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.tables import SHOWN_SOURCES, bar, heads, with_more
from pipeline.report.words import compact, count, percent


def lost_section(looked: Looked) -> Markup | None:
    """A body a source; None where no source was read."""
    losses = looked.losses()
    if not losses:
        return None
    bodies = [_source(name, mine) for name, mine in losses.items()]
    head = tag("thead", heads("Source", ("", "bars"), ("Documents", "number"), ("Share", "number"), ("Tokens", "number")))
    return tag(
        "section",
        tag("h2", "What each source lost"),
        tag(
            "p", "Tokens of what was dropped are estimated: its bytes, at the bytes a token of what was kept of the source.", class_="note"
        ),
        with_more(bodies, SHOWN_SOURCES, head, "funnel", "more sources"),
        id="lost",
    )


def _source(name: str, losses: Losses) -> Markup:
    rows, before = [], losses.kept
    for reason, lost in sorted(losses.reasons.items(), key=lambda item: (-item[1]["documents"], item[0])):
        rows.append(
            tag(
                "tr",
                tag("th", breakable(reason), scope="row", class_="reason"),
                tag("td", bar("dropped", before, lost["documents"], losses.read), class_="bars"),
                tag("td", f"− {count(lost['documents'])}", class_="number"),
                tag("td", percent(lost["documents"], losses.read), class_="number"),
                tag("td", f"≈ {compact(lost['tokens'])}" if lost["tokens"] else "–", class_="number"),
            )
        )
        before += lost["documents"]
    head = tag(
        "tr",
        tag("th", breakable(name), scope="row", class_="source"),
        tag("td", bar("kept", 0, losses.kept, losses.read), class_="bars"),
        tag("td", count(losses.kept), tag("small", f" of {count(losses.read)}"), class_="number"),
        tag("td", percent(losses.kept, losses.read), class_="number"),
        tag("td", class_="number"),
        class_="stage",
    )
    return tag("tbody", head, rows)
