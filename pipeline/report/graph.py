"""The graph of steps as an inline SVG: layers from the sources down, edges routed around the steps that they pass.

The layers are those of Sugiyama, Tagawa and Toda (1981): a step stands below all of its inputs, an edge that
passes a layer gets a place of its own there, and places are ordered by the mean of what lies above them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.made import Made
from pipeline.report.markup import Markup, tag
from pipeline.report.words import lasting

WIDTH, HEIGHT = 170, 62
PASSING_WIDTH = 20
GAP_X, GAP_Y = 14, 30
SHOWN_DIGITS = 8


@dataclass
class Place:
    """A step, or (where `made` is None) the place of an edge that passes a layer."""

    made: Made | None
    above: "list[Place]"
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> int:
        return WIDTH if self.made else PASSING_WIDTH


def graph_svg(steps: Sequence[Made]) -> tuple[Markup, int]:
    """The graph at its natural size, and its width in CSS pixels."""
    layers = _arranged(_layers(steps))
    width = _settle(layers)
    height = len(layers) * (HEIGHT + GAP_Y) - GAP_Y
    places = [place for layer in layers for place in layer]
    svg = tag(
        "svg",
        tag("title", "The steps and what each reads"),
        [_edge(above, place) for place in places for above in place.above],
        [_node(place, place.made) for place in places if place.made],
        viewBox=f"-1 -1 {width + 2} {height + 2}",
        width=width + 2,
        height=height + 2,
        class_="graph",
        role="img",
    )
    return svg, width


def _layers(steps: Sequence[Made]) -> list[list[Place]]:
    """Every step one layer below its lowest input, and a place in each layer that an edge passes."""
    depth: dict[str, int] = {}
    for made in steps:
        depth[made.address] = max((depth[needed.address] + 1 for needed in _inputs(made)), default=0)
    layers: list[list[Place]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    placed: dict[tuple[str, int], Place] = {}
    for made in steps:
        level = depth[made.address]
        above = [_passed(needed.address, depth[needed.address], level - 1, placed, layers) for needed in _inputs(made)]
        placed[made.address, level] = Place(made, above)
        layers[level].append(placed[made.address, level])
    return layers


def _inputs(made: Made) -> list[Any]:
    return list({needed.address: needed for needed in made.step.inputs.values()}.values())


def _passed(address: str, start: int, end: int, placed: dict[tuple[str, int], Place], layers: list[list[Place]]) -> Place:
    """The place of an edge from `address` in layer `end`; edges from one step share their places."""
    for level in range(start + 1, end + 1):
        if (address, level) not in placed:
            placed[address, level] = Place(None, [placed[address, level - 1]])
            layers[level].append(placed[address, level])
    return placed[address, end]


def _arranged(layers: list[list[Place]]) -> list[list[Place]]:
    """Places in each layer in the order of the mean place of what lies above them."""
    arranged: list[list[Place]] = []
    for layer in layers:
        before = {id(place): number for number, place in enumerate(arranged[-1])} if arranged else {}
        means = {id(place): sum(before[id(above)] for above in place.above) / max(1, len(place.above)) for place in layer}
        arranged.append(sorted(layer, key=lambda place: means[id(place)]))
    return arranged


def _settle(layers: list[list[Place]]) -> int:
    """Give every place its coordinates, the steps of each layer centred, edges beside them; returns the width of all."""
    for level, layer in enumerate(layers):
        x = 0.0
        for place in layer:
            place.x, place.y = x, level * (HEIGHT + GAP_Y)
            x += place.width + GAP_X
        steps = [place for place in layer if place.made]
        middle = (steps[0].x + steps[-1].x + WIDTH) / 2
        for place in layer:
            place.x -= middle
    places = [place for layer in layers for place in layer]
    left = min((place.x for place in places), default=0.0)
    for place in places:
        place.x -= left
    return math.ceil(max((place.x + place.width for place in places), default=0.0))


def _edge(above: Place, below: Place) -> Markup:
    """A curve from the foot of one place to the head of another; through a passing place it goes straight."""
    x1, y1 = above.x + above.width / 2, above.y + HEIGHT
    x2, y2 = below.x + below.width / 2, below.y
    middle = (y1 + y2) / 2
    through = "" if below.made else f"V{y2 + HEIGHT:.1f}"
    return tag("path", d=f"M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}{through}", class_="edge")


def _node(place: Place, made: Made) -> Markup:
    name, digits = made.address.split("/", 1)
    state = f"built in {lasting(made.seconds)}" if made.manifest else "not built"
    return tag(
        "a",
        tag("title", made.address),
        tag("rect", x=place.x, y=place.y, width=WIDTH, height=HEIGHT, rx=7),
        tag("circle", cx=place.x + 15, cy=place.y + 18, r=3.5, class_="built" if made.manifest else "missing"),
        _words(place, 26, 22, title_of(name), "name"),
        _words(place, 12, 38, f"{name}/{digits[:SHOWN_DIGITS]}", "address"),
        _words(place, 12, 53, state, "state"),
        href=f"#{anchor(made)}",
    )


def _words(place: Place, right: float, down: float, words: str, css: str) -> Markup:
    return tag("text", words, x=place.x + right, y=place.y + down, class_=css)


def title_of(name: str) -> str:
    """A step's name as a title: "train-tokenizer" is "Train tokenizer"."""
    return name.replace("-", " ").capitalize()


def anchor(made: Made) -> str:
    """Where the page tells everything of a step."""
    return f"step-{made.address.replace('/', '-')}"
