"""The maps of attention: a picture of each head, what it mostly does in words, and of what all layers let through."""

import numpy as np

from pipeline.inference.attention import Attention, Weights, habit
from pipeline.report.markup import Markup, tag
from pipeline.report.why.picture import picture
from pipeline.report.words import percent

PIXELS = 1 << 22
"""Of all pictures together; above, heads of a layer are shown by their mean."""


def heads_section(attention: Attention | None) -> Markup:
    """The rollout, then the heads of each layer."""
    title = tag("h2", "Where it looked")
    if attention is None:
        return tag(
            "section",
            title,
            tag("p", "This model has no attention: it reads from left to right, and remembers.", class_="note"),
            id="attention",
        )
    weights, alone = attention.weights, attention.weights.size <= PIXELS
    shown = weights if alone else weights.mean(axis=1, keepdims=True)
    words = (
        "A row for each token from top to bottom, a column for each token that it may look at from left to right;"
        " the stronger the colour, the more. Attention says where a model looks, not what it makes of that: what an answer owes to a"
        " token is above."
    )
    mean = "" if alone else f" The {weights.shape[1]} heads of a layer are shown by their mean, since there are many tokens."
    layers = [_layer(number, heads, alone) for number, heads in enumerate(shown, 1)]
    return tag(
        "section",
        title,
        tag("p", words + mean, class_="note"),
        _figure("All layers together, by rollout", attention.rollout(), "rolled"),
        layers,
        id="attention",
    )


def _layer(number: int, heads: Weights, alone: bool) -> Markup:
    figures = [_figure(f"Head {head}" if alone else "All heads", weights, None) for head, weights in enumerate(heads, 1)]
    return tag("details", tag("summary", tag("b", f"Layer {number}")), tag("div", figures, class_="maps"), open=number == 1)


def _figure(name: str, weights: Weights, kind: str | None) -> Markup:
    does = habit(weights)
    shares = [("itself", does.itself), ("the token before", does.before), ("the first token", does.first), ("others", does.rest)]
    said = ", ".join(f"{percent(share, 1)} {whom}" for whom, share in shares)
    image = tag("img", src=picture(np.asarray(weights)), alt=f"{name}: map of {len(weights)} × {len(weights)} weights; to {said}")
    return tag("figure", image, tag("figcaption", tag("b", name), f" {said}"), class_=kind)
