"""Layers whose activations are computed once more in the backward pass instead of kept (Chen and others, 2016, arXiv:1604.06174)."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def recompute_layers(model: "nn.Module") -> None:
    """Keep the input of each layer alone. Values and gradients stay what they are, bit for bit where the device repeats itself."""
    from torch.utils.checkpoint import checkpoint

    for layer in _layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _layers(module: "nn.Module") -> Iterator["nn.Module"]:
    """The members of the outermost lists of a model."""
    from torch import nn

    for child in module.children():
        yield from child if isinstance(child, nn.ModuleList) else _layers(child)
