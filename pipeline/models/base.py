"""What training asks of an architecture: a module to train, its cost, and its form for transformers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Export:
    """A model as transformers knows it: the content of its config.json, and tensors by transformers' names."""

    config: Mapping[str, Any]
    tensors: "Mapping[str, Tensor]"


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """A frozen recipe of a model. The vocabulary and the context come from the data that it is trained on."""

    @abstractmethod
    def build(self, vocab_size: int, context: int) -> "nn.Module":
        """A fresh module on the CPU in fp32; its weights are drawn from torch's global generator.

        Its `forward(tokens [B, T], targets [B, T], documents [B, T] | None, positions [B, T] | None)` returns
        the mean cross-entropy in nats, computed in fp32. Where `documents` is given (the number of the document that
        a token belongs to, within its row), attention stays inside a document; `positions` default to 0 … T - 1.
        """

    @abstractmethod
    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """Floating-point operations of the matrix products, forward and backward, per trained token."""

    @abstractmethod
    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        """The weights of a trained module in the form that transformers opens without our code."""
