"""What training asks of an architecture: a module to train, its cost, and its form for transformers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.objectives.base import Objective
from pipeline.objectives.next_token import NextToken

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Family:
    """What a model is, in a few words, the class of transformers that opens it, and the pipeline that uses it."""

    words: str
    opened_by: str
    pipeline: str
    module: str | None = None
    """The module of ours that has to be imported first, where transformers does not know the model."""


@dataclass(frozen=True)
class Export:
    """A model as transformers knows it: the content of its config.json, and tensors by transformers' names."""

    config: Mapping[str, Any]
    tensors: "Mapping[str, Tensor]"
    generates: bool = True
    """Whether it writes text, and so has settings for that."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Numbers that a forward pass keeps for the backward pass, as PyTorch keeps them on a CPU."""

    wide: float
    """Of a window, those in fp32 whatever the precision of the products."""
    narrow: float
    """Of a window, those in the precision of the products."""
    once: float
    """Of a micro-batch however many windows it has: what the head holds in fp32."""


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """A frozen recipe of a model. The vocabulary and the context come from the data that it is trained on."""

    depth: int
    """Layers."""
    dim: int
    """Width of what its layers pass on."""
    learns: ClassVar[type[Objective]] = NextToken
    """What it can be trained to predict."""
    layered: ClassVar[bool] = True
    """Whether its layers are modules of their own, in a list: each can then be computed apart from the others."""
    whole_windows: ClassVar[str | None] = "nobody has said how"
    """Why workers cannot hold a slice of a window's tokens each; None where they can: all that passes between tokens passes through
    `CausalAttention.mix`, and every token's loss counts alike."""
    uncompiled: ClassVar[str | None] = None
    """Why torch.compile can make no programs of its layers, where it cannot."""
    family: ClassVar[Family] = Family("decoder-only language model", "AutoModelForCausalLM", "text-generation")

    @abstractmethod
    def build(self, vocab_size: int, context: int) -> "nn.Module":
        """A fresh module on the CPU in fp32; its weights are drawn from torch's global generator.

        Its `forward` takes what the questions of its objective give, as tensors of B rows, and returns the mean cross-entropy in nats,
        computed in fp32: of a batch, the mean of those of its rows. For NextToken that is
        `forward(tokens [B, T], targets [B, T], documents [B, T] | None, positions [B, T] | None)`. Where `documents` is
        given (the number of the document that a token belongs to, within its row), attention stays inside a document;
        `positions` default to 0 … T - 1.
        """

    @abstractmethod
    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """Floating-point operations of the matrix products, forward and backward, per trained token."""

    def flops_for(self, objective: Objective, vocab_size: int, context: int) -> int:  # noqa: ARG002 - for most it is the same for any
        """The same where it depends on what of a window is predicted."""
        return self.flops_per_token(vocab_size, context)

    @abstractmethod
    def parameter_count(self, vocab_size: int, context: int) -> int:
        """The parameters of what `build` gives, each once: known without building it."""

    @abstractmethod
    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:
        """What is kept of a window of `context` tokens; `apart`: attention is told to stay inside documents."""

    @abstractmethod
    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        """The weights of a trained module in the form that transformers opens without our code."""
