"""Parts of tables that several sections have."""

from collections.abc import Sequence

from pipeline.report.markup import Markup, tag
from pipeline.report.words import count

SHOWN_SOURCES = 20


def heads(first: str, *others: tuple[str, str]) -> Markup:
    """The row of a table's headings: words and class of each column."""
    return tag("tr", tag("th", first, scope="col"), [tag("th", words, class_=css, scope="col") for words, css in others])


def bar(css: str, start: float, length: float, whole: float) -> Markup | None:
    """A bar of a row; all that have the same `whole` share one scale."""
    if not length or not whole:
        return None
    return tag("i", class_=f"bar {css}", style=f"margin-left:{100 * start / whole:.2f}%;width:{100 * length / whole:.3f}%")


def with_more(parts: Sequence[Markup], shown: int, head: Markup, css: str, more: str) -> Markup:
    """A table whose rows behind so many are folded away. `parts` are rows, or bodies."""
    rest = parts[shown:]
    return tag(
        "div",
        tag("table", head, parts[:shown], class_=css),
        tag("details", tag("summary", f"{count(len(rest))} {more}"), tag("table", rest, class_=css)) if rest else None,
        class_="scrolling",
    )
