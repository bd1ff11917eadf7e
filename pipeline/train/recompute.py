"""Layers whose activations are computed once more in the backward pass instead of kept (Chen and others, 2016, arXiv:1604.06174)."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def recompute_layers(model: "nn.Module") -> None:
    """Keep the input of each layer alone. Values and gradients stay what they are, bit for bit where the device repeats itself."""
    from torch.utils.checkpoint import checkpoint

    for layer in layers_of(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def layers_of(module: "nn.Module") -> Iterator["nn.Module"]:
    """The layers of a model: the members of its outermost lists."""
    from torch import nn

    for child in module.children():
        yield from child if isinstance(child, nn.ModuleList) else layers_of(child)
