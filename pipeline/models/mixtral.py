"""A decoder whose feed-forward networks are many, of which each token passes through a few.

The class that is matched is Mixtral's. Its routing is that of the models of today (of Qwen3-MoE too): probabilities over all
experts, the likeliest few, their weights scaled to sum to one; many small experts are a matter of `experts`, `active` and
`hidden`. And its attention is Llama's, so that a mixture differs from `Llama` in its experts and in nothing else; OLMoE's
and Qwen's differ in norms of queries and keys too, and DeepSeek's in most things.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

from pipeline.errors import RequestError
from pipeline.models.base import Architecture, Export, Kept
from pipeline.models.shapes import check_counts, check_rotary_heads, kept_by_head
from pipeline.objectives.base import Objective

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

INNER_MULTIPLE = 32


@dataclass(frozen=True, kw_only=True)
class Mixtral(Architecture):
    """A sparse mixture of experts (Shazeer and others, 2017) in the form of Mixtral (Jiang and others, 2024, arXiv:2401.04088).

    Every token goes to the experts that are chosen for it: there is no greatest load, and nothing is dropped. Two terms keep
    the router sound. They are in the gradient and not in the loss that is told, which stays the cross-entropy and can be
    compared with any other model's. Both are means over windows, and a window's balance is its own (as in DeepSeek-V3,
    arXiv:2412.19437, section 2.1.2): so the gradient does not depend on how many windows or workers a step is shared among.
    """

    whole_windows: ClassVar[str | None] = None
    uncompiled: ClassVar[str | None] = "its experts get other numbers of tokens in every step, and each number would need a program"
    dim: int = 128
    """Width of the residual stream."""
    depth: int = 4
    """Layers."""
    heads: int = 4
    """Query heads."""
    key_value_heads: int | None = None
    """Heads of keys and values, shared among the query heads; None for one each."""
    experts: int = 8
    """Feed-forward networks in a layer."""
    active: int = 2
    """Experts that a token passes through in a layer."""
    hidden: int | None = None
    """Inner width of an expert; None for 8/3 · dim shared among the active ones, rounded up to a multiple of 32."""
    balance_weight: float = 1e-2
    """Weight of the load-balancing term of each layer (Fedus and others, 2021, arXiv:2101.03961, section 2.2)."""
    z_weight: float = 1e-3
    """Weight of the router's z-term of each layer, which keeps its logits small (Zoph and others, 2022, arXiv:2202.08906, section 3.2)."""
    tied: bool = True
    """Whether the head is the embedding's own matrix."""
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "heads", "key_value_heads", "experts", "active", "hidden"))
        check_rotary_heads(self.dim, self.heads, self.groups)
        if self.active > self.experts:
            raise RequestError(f"model.active is {self.active}, more than the {self.experts} experts there are: use at most {self.experts}")
        for name in ("balance_weight", "z_weight"):
            if not 0 <= getattr(self, name) < inf:
                raise RequestError(f"model.{name} is {getattr(self, name)}: use 0 (no such term) or more, such as 0.001")

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
        """Inner width of an expert."""
        if self.hidden is not None:
            return self.hidden
        return -(-8 * self.dim // (3 * self.active * INNER_MULTIPLE)) * INNER_MULTIPLE

    def build(self, vocab_size: int, context: int) -> "nn.Module":  # noqa: ARG002 - rotary positions know no greatest context
        from pipeline.models.mixtral_decoder import Decoder

        return Decoder(self, vocab_size)

    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """6 · (weights in matrix products that a token passes through) + 12 · depth · dim · context, counted as for `Llama`.

        Of a layer's experts only the active ones count, and the router.
        """
        attention = self.dim * self.head_dim * (2 * self.heads + 2 * self.groups)
        network = self.dim * self.experts + 3 * self.active * self.dim * self.inner
        weights = self.depth * (attention + network) + vocab_size * self.dim
        return 6 * weights + 12 * self.depth * self.dim * context

    def parameter_count(self, vocab_size: int, context: int) -> int:  # noqa: ARG002 - rotary positions have no parameters
        attention = self.dim * self.head_dim * (2 * self.heads + 2 * self.groups)
        layer = attention + self.experts * (self.dim + 3 * self.dim * self.inner) + 2 * self.dim
        return (1 if self.tied else 2) * vocab_size * self.dim + self.depth * layer + self.dim

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:  # noqa: ARG002 - there is one
        """Counted as for `Llama`; of a token's experts each has a copy of it."""
        wide = self.depth * (7 * self.dim + self.heads + 2 * self.experts + 8 * self.active + 4) + 2 * self.dim
        experts = self.active * (2 * self.dim + 4 * self.inner)
        narrow = self.depth * (3 * self.dim + experts + apart * context) + self.dim
        return Kept(wide=context * wide, narrow=context * narrow, once=kept_by_head(self.dim, vocab_size))

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        config = {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "vocab_size": vocab_size,
            "hidden_size": self.dim,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.depth,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.head_dim,
            "num_local_experts": self.experts,
            "num_experts_per_tok": self.active,
            # which takes the mean of the layers' terms, and counts a token once for each expert that it is sent to
            "router_aux_loss_coef": self.balance_weight * self.depth / self.active,
            "hidden_act": "silu",
            "max_position_embeddings": context,
            "rms_norm_eps": self.norm_epsilon,
            "rope_theta": self.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "sliding_window": None,
            "tie_word_embeddings": self.tied,
        }
        dropped = "lm_head.weight" if self.tied else None
        named = (pair for name, tensor in weights.items() if name != dropped for pair in _as_kept(name, tensor))
        return Export(config, dict(named))


def _as_kept(name: str, tensor: "Tensor") -> "Iterator[tuple[str, Tensor]]":
    """A weight as Mixtral's checkpoints keep it: one matrix an expert, which every reader of the format knows."""
    layer, mlp, part = name.partition(".mlp.")
    if part == "experts.gate_up_proj":
        for number, both in enumerate(tensor):
            gate, up = both.chunk(2)
            yield f"{layer}.block_sparse_moe.experts.{number}.w1.weight", gate.clone()
            yield f"{layer}.block_sparse_moe.experts.{number}.w3.weight", up.clone()
    elif part == "experts.down_proj":
        for number, down in enumerate(tensor):
            yield f"{layer}.block_sparse_moe.experts.{number}.w2.weight", down.clone()
    else:
        yield (f"{layer}.block_sparse_moe.{part}" if mlp else name), tensor
