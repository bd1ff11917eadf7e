"""Tokens on a page: in boxes of their own, and as running text that is coloured by a number a token."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from pipeline.inference.pieces import Piece
from pipeline.report.markup import Markup, join, tag

SHOWN_AS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
REPLACEMENT = "\ufffd"
STRONGEST = 72
"""The share of colour, in percent, where a number is greatest."""


def visible(text: str, space: str = " ") -> str:
    """Text in which nothing is invisible or commands the page: line ends, tabs, joiners and marks of direction are shown as signs."""
    shown = "".join(
        space if letter == " " else SHOWN_AS.get(letter) or (letter if letter.isprintable() else f"⟨U+{ord(letter):04X}⟩")
        for letter in text
    )
    return f"◌{shown}" if shown and unicodedata.combining(shown[0]) else shown


def name_of(piece: Piece) -> str:
    """A token by itself; of one that is a part of a character its bytes, if the character is not known."""
    if piece.parts == 1 and REPLACEMENT in piece.text and piece.data:
        return f"⟨{piece.data.hex(' ').upper()}⟩"
    return visible(piece.text, space="·") or "∅"


def boxed(piece: Piece, place: int | None = None) -> Markup:
    """A token in a box: what it says, which part of a character it is, and its place among those that were read, from 1."""
    part = tag("small", f" {piece.part}/{piece.parts}", title=f"part {piece.part} of {piece.parts}") if piece.parts > 1 else None
    box = tag("bdi", name_of(piece), part, class_="token special" if piece.special else "token")
    return box if place is None else join([box, tag("small", f" {place}", title=f"token {place}")])


def coloured(read: Sequence[Piece], numbers: Sequence[float], colours: tuple[str, str], unit: str) -> Markup:
    """Running text, each token behind its colour: the first for what adds, the second for what takes away, the stronger the more."""
    greatest = max(map(abs, numbers), default=0.0)
    places = zip(read, numbers, strict=True)
    return tag("p", [_character(list(group), greatest, colours, unit) for group in _characters(places)], class_="strip", dir="auto")


def _characters(places: "zip[tuple[Piece, float]]") -> Iterator[Iterator[tuple[Piece, float]]]:
    """Tokens that are parts of one character together."""
    number = 0

    def group(place: tuple[Piece, float]) -> int:
        nonlocal number
        number += place[0].part == 1
        return number

    return (found for _, found in groupby(places, key=group))


def _character(group: Sequence[tuple[Piece, float]], greatest: float, colours: tuple[str, str], unit: str) -> Markup:
    """Parts of a character share its width."""
    text, width = group[0][0].text, 100 / len(group)
    shades = [_shade(number, greatest, colours) for _, number in group]
    stops = ", ".join(f"{shade} {place * width:.4g}% {(place + 1) * width:.4g}%" for place, shade in enumerate(shades))
    told = "; ".join(signed(number, "+.3g") for _, number in group)
    style = f"background: linear-gradient(90deg, {stops})"
    shown = visible(text).replace("⏎", "⏎\n") or "∅"
    return tag("span", shown, class_="special" if group[0][0].special else None, style=style, title=f"{told} {unit}")


def _shade(number: float, greatest: float, colours: tuple[str, str]) -> str:
    share = STRONGEST * abs(number) / greatest if greatest else 0.0
    return f"color-mix(in srgb, var({colours[number < 0]}) {share:.3g}%, transparent)"


def amounts(rows: Sequence[tuple[Markup | str, float]], heads: tuple[str, str], form: str) -> Markup:
    """A table of names and numbers, each with a bar."""
    greatest = max((abs(number) for _, number in rows), default=0.0) or 1.0
    head = tag("tr", tag("th", heads[0], scope="col"), tag("th", heads[1], scope="col", class_="number"), tag("td"))
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", signed(number, form), class_="number"),
            tag(
                "td",
                tag("span", class_="bar" if number >= 0 else "bar away", style=f"width: {100 * abs(number) / greatest:.4g}%"),
                class_="bars",
            ),
        )
        for name, number in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", body), class_="amounts")


def signed(number: float, form: str) -> str:
    """A number with a minus sign that is one."""
    return format(number, form).replace("-", "−")
