"""What the corpus holds, by source: how long its documents are, and in which languages."""

from collections.abc import Iterator, Mapping

from pipeline.report.look.lengths import Lengths, doublings
from pipeline.report.looked import Looked, Source
from pipeline.report.markup import Markup, breakable, tag
from pipeline.report.tables import SHOWN_SOURCES, bar, heads, with_more
from pipeline.report.words import compact, count, percent

QUANTILES = (("5 %", 0.05, "number rare"), ("Median", 0.5, "number"), ("95 %", 0.95, "number rare"))
"""With their classes: what is rare has no place on a small screen."""
SHOWN_LANGUAGES = 6


def held_section(looked: Looked) -> Markup | None:
    """Tokens, characters and languages; None where nothing was kept."""
    if not looked.sources:
        return None
    return tag(
        "section",
        tag("h2", "What the corpus holds"),
        tag("h3", "Tokens a document"),
        _lengths(looked, {name: each.tokens for name, each in looked.sources.items()}, looked.whole.tokens, "Tokens"),
        tag("h3", "Characters a document"),
        _lengths(looked, {name: each.characters for name, each in looked.sources.items()}, looked.whole.characters, "Characters"),
        tag("h3", "Languages"),
        _languages(looked),
        id="held",
    )


def _lengths(looked: Looked, lengths: Mapping[str, Lengths], whole: Lengths, what: str) -> Markup:
    """A row a source, behind one for all if there are several; histograms have one axis."""
    axis = list(doublings(whole))
    if not axis:
        return tag("p", "None.", class_="note")
    span = range(axis[0], axis[-1] + 1)
    shown = [("All sources", looked.whole, whole)] if len(lengths) > 1 else []
    shown += [(name, looked.sources[name], mine) for name, mine in lengths.items()]
    columns = [(what, "number"), *((name, css) for name, _, css in QUANTILES), ("Longest", "number")]
    head = heads("Source", (f"{compact(2 ** span[0])} to {compact(2 ** (span[-1] + 1))}, doubling", "bars"), *columns)
    rows = [tag("tbody", _length(name, source, mine, span)) for name, source, mine in shown]
    return with_more(rows, SHOWN_SOURCES, tag("thead", head), "lengths", "more sources")


def _length(name: str, source: Source, lengths: Lengths, span: range) -> Markup:
    each = source.bytes_a_token
    beside = tag("small", f" {each:.2f} bytes each") if lengths is source.tokens and each is not None else None
    return tag(
        "tr",
        tag("th", breakable(name), scope="row", class_="source"),
        tag("td", histogram(lengths, span), class_="bars"),
        tag("td", compact(lengths.total), beside, class_="number"),
        [tag("td", compact(lengths.quantile(part)), class_=css) for _, part, css in QUANTILES],
        tag("td", compact(lengths.longest), class_="number"),
    )


def histogram(lengths: Lengths, span: range) -> Markup:
    """A bar a doubling; the highest is as high as the picture."""
    found = doublings(lengths)
    highest = max(found.values(), default=1)
    rows = [_column(place, span, found[place], highest) for place in found]
    return tag("svg", rows, viewBox=f"0 0 {len(span)} 1", preserveAspectRatio="none", class_="histogram", role="img")


def _column(place: int, span: range, documents: int, highest: int) -> Markup:
    height = documents / highest
    words = f"{count(2**place)} to {count(2 ** (place + 1) - 1)}: {count(documents)} documents"
    return tag("rect", tag("title", words), x=place - span[0] + 0.06, y=f"{1 - height:.4f}", width=0.88, height=f"{height:.4f}")


def _languages(looked: Looked) -> Markup:
    head = tag("thead", heads("Source", ("", "bars"), ("Documents", "number"), ("Share", "number")))
    bodies = [tag("tbody", _source(name, source)) for name, source in looked.sources.items()]
    note = "Told of a sample of the documents of each source, by a hash of their ids."
    return tag("div", tag("p", note, class_="note"), with_more(bodies, SHOWN_SOURCES, head, "funnel", "more sources"))


def _source(name: str, source: Source) -> Iterator[Markup]:
    sampled = source.languages.total()
    words = "none told" if not sampled else f"{count(sampled)} told" if sampled < source.documents else "all told"
    yield tag(
        "tr",
        tag("th", breakable(name), scope="row", class_="source"),
        tag("td", class_="bars"),
        tag("td", count(source.documents), class_="number"),
        tag("td", tag("small", words), class_="number"),
        class_="stage",
    )
    common = source.languages.most_common()
    others = sum(number for _, number in common[SHOWN_LANGUAGES:])
    for language, number in [*common[:SHOWN_LANGUAGES], *([("others", others)] if others else [])]:
        yield tag(
            "tr",
            tag("th", language, scope="row", class_="reason"),
            tag("td", bar("kept", 0, number, sampled), class_="bars"),
            tag("td", count(number), class_="number"),
            tag("td", percent(number, sampled), class_="number"),
        )
