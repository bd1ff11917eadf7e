"""Where a model looks: the attention of each layer and head, and what of it reaches from the text to the top.

L layers, H heads, T tokens
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Attention:
    """The weights [L, H, T, T] of one text: a row says how a token's attention is shared out."""

    weights: Weights

    def rollout(self) -> Weights:
        """How much of each token reaches each other by all layers, [T, T] (Abnar and Zuidema, 2020, arXiv:2005.00928).

        In each layer heads are taken together by their mean, and half of a token is passed on past them.
        """
        tokens = self.weights.shape[-1]
        rolled = np.eye(tokens, dtype=np.float64)
        for heads in self.weights:
            mixed = 0.5 * heads.mean(axis=0, dtype=np.float64) + 0.5 * np.eye(tokens)
            rolled = (mixed / mixed.sum(axis=1, keepdims=True)) @ rolled
        return rolled.astype(np.float32)


@dataclass(frozen=True)
class Habit:
    """What a head does on the whole: the mean share of attention that goes to these tokens."""

    itself: float
    before: float
    """To the token just before."""
    first: float
    rest: float


def habit(weights: Weights) -> Habit:
    """The habit of a head with weights [T, T], over the rows that have a choice: those from the third on, if there are any."""
    rows = np.arange(min(2, len(weights) - 1), len(weights))
    itself, first = (float(weights[rows, places].mean()) for places in (rows, np.zeros_like(rows)))
    before = float(weights[rows, rows - 1].mean()) if rows[0] > 0 else 0.0
    return Habit(itself, before, first, max(0.0, 1 - itself - before - first) if len(weights) > 2 else 0.0)


def attention(found: Sequence[Any]) -> Attention | None:
    """The attention that a model gave out for one text, a tensor [1, H, T, T] a layer; None where it has none."""
    layers = [layer[0].float().cpu().numpy() for layer in found or () if layer is not None]
    return Attention(np.stack(layers)) if layers else None
