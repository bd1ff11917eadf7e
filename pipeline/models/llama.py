"""A modern decoder: RMSNorm, rotary positions, SwiGLU, grouped-query attention, a head that may share the embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipeline.models.base import Architecture, Export, Kept
from pipeline.models.shapes import check_counts, check_rotary_heads, kept_by_head
from pipeline.objectives.base import Objective
from pipeline.workflow.fingerprint import later

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

INNER_MULTIPLE = 32


@dataclass(frozen=True, kw_only=True)
class Llama(Architecture):
    """The Llama family (Touvron and others, 2023, arXiv:2302.13971) at any size."""

    whole_windows: ClassVar[str | None] = None
    dim: int = 128
    """Width of the residual stream."""
    depth: int = 4
    """Layers."""
    heads: int = 4
    """Query heads."""
    key_value_heads: int | None = None
    """Heads of keys and values, shared among the query heads; None for one each."""
    hidden: int | None = None
    """Inner width of the feed-forward network; None for 8/3 · dim, rounded up to a multiple of 32."""
    tied: bool = True
    """Whether the head is the embedding's own matrix."""
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5
    qk_norm: bool = later(False)
    """Whether queries and keys are normed, head by head, which keeps attention steady at high rates; its class is Qwen3's then."""

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "heads", "key_value_heads", "hidden"))
        check_rotary_heads(self.dim, self.heads, self.groups)

    @property
    def groups(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.dim // self.heads

    @property
    def inner(self) -> int:
        """Inner width of the feed-forward network."""
        return self.hidden if self.hidden is not None else -(-8 * self.dim // (3 * INNER_MULTIPLE)) * INNER_MULTIPLE

    def build(self, vocab_size: int, context: int) -> "nn.Module":  # noqa: ARG002 - rotary positions know no greatest context
        from pipeline.models.llama_decoder import Decoder

        return Decoder(self, vocab_size)

    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """6 · (weights in matrix products) + 12 · depth · dim · context.

        Each weight is multiplied and added once forward and twice backward: 6 operations. Attention's two products
        (queries with keys, weights with values) take 4 · dim · context forward and twice that backward in each layer; the
        causal half is counted in full, as is usual (Chowdhery and others, 2022, appendix B), so that figures compare. The
        embedding is a look-up and costs nothing; the head counts, tied or not.
        """
        attention = self.dim * self.head_dim * (2 * self.heads + 2 * self.groups)
        weights = self.depth * (attention + 3 * self.dim * self.inner) + vocab_size * self.dim
        return 6 * weights + 12 * self.depth * self.dim * context

    def parameter_count(self, vocab_size: int, context: int) -> int:  # noqa: ARG002 - rotary positions have no parameters
        layer = self.dim * self.head_dim * (2 * self.heads + 2 * self.groups) + 3 * self.dim * self.inner + 2 * self.dim
        layer += 2 * self.head_dim * self.qk_norm
        return (1 if self.tied else 2) * vocab_size * self.dim + self.depth * layer + self.dim

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:  # noqa: ARG002 - there is one
        """Counted in each layer; where documents are kept apart, with a mask over all pairs of tokens."""
        wide = self.depth * (7 * self.dim + self.heads + 2) + 2 * self.dim
        narrow = self.depth * (3 * self.dim + 4 * self.inner + apart * context) + self.dim
        return Kept(wide=context * wide, narrow=context * narrow, once=kept_by_head(self.dim, vocab_size))

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        config = {
            "architectures": ["Qwen3ForCausalLM" if self.qk_norm else "LlamaForCausalLM"],
            "model_type": "qwen3" if self.qk_norm else "llama",
            "vocab_size": vocab_size,
            "hidden_size": self.dim,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.depth,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": context,
            "rms_norm_eps": self.norm_epsilon,
            "rope_theta": self.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "tie_word_embeddings": self.tied,
            "attention_bias": False,
            "mlp_bias": False,
        }
        dropped = "lm_head.weight" if self.tied else None
        return Export(config, {name: tensor for name, tensor in weights.items() if name != dropped})
