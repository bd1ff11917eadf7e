"""The decoder that today's are measured against: learned positions, LayerNorm, GELU, biases, a head that is the embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipeline.models.base import Architecture, Export, Kept
from pipeline.models.shapes import check_counts, check_heads, kept_by_head
from pipeline.objectives.base import Objective

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class GPT2(Architecture):
    """GPT-2 (Radford and others, 2019, "Language models are unsupervised multitask learners") at any size, without dropout.

    It knows no position beyond the context that it was trained on.
    """

    whole_windows: ClassVar[str | None] = None
    dim: int = 128
    """Width of the residual stream."""
    depth: int = 4
    """Layers."""
    heads: int = 4
    """Heads of attention."""
    hidden: int | None = None
    """Inner width of the feed-forward network; None for 4 · dim."""
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "heads", "hidden"))
        check_heads(self.dim, self.heads)

    @property
    def inner(self) -> int:
        """Inner width of the feed-forward network."""
        return 4 * self.dim if self.hidden is None else self.hidden

    def build(self, vocab_size: int, context: int) -> "nn.Module":
        from pipeline.models.gpt2_decoder import Decoder

        return Decoder(self, vocab_size, context)

    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """6 · (weights in matrix products) + 12 · depth · dim · context, counted as for `Llama`."""
        weights = self.depth * (4 * self.dim**2 + 2 * self.dim * self.inner) + vocab_size * self.dim
        return 6 * weights + 12 * self.depth * self.dim * context

    def parameter_count(self, vocab_size: int, context: int) -> int:
        layer = 4 * self.dim**2 + 2 * self.dim * self.inner + 9 * self.dim + self.inner
        return (vocab_size + context) * self.dim + self.depth * layer + 2 * self.dim

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:  # noqa: ARG002 - there is one
        """Counted in each layer; where documents are kept apart, with a mask over all pairs of tokens."""
        wide = self.depth * (2 * self.dim + self.heads + 4) + self.dim
        narrow = self.depth * (6 * self.dim + 2 * self.inner + apart * context) + self.dim
        return Kept(wide=context * wide, narrow=context * narrow, once=kept_by_head(self.dim, vocab_size))

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        config = {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": vocab_size,
            "n_positions": context,
            "n_embd": self.dim,
            "n_layer": self.depth,
            "n_head": self.heads,
            "n_inner": self.inner,
            "activation_function": "gelu_new",
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "layer_norm_epsilon": self.norm_epsilon,
            "tie_word_embeddings": True,
        }
        return Export(config, {name: _transposed(name, tensor) for name, tensor in weights.items() if name != "lm_head.weight"})


def _transposed(name: str, tensor: "Tensor") -> "Tensor":
    """GPT-2's linear layers are kept as [in, out], as they were in its first code."""
    linear = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
    return tensor.t().contiguous() if linear else tensor
