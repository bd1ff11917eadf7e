"""An encoder: every token sees all others, and what is hidden from it is predicted from both sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.models.base import Architecture, Export, Family, Kept
from pipeline.models.shapes import check_counts, check_heads
from pipeline.objectives.base import Objective
from pipeline.objectives.masked_tokens import MaskedTokens

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

TIED = "cls.predictions.decoder."
"""The head's own names for the embedding and the bias that it shares."""


@dataclass(frozen=True, kw_only=True)
class Bert(Architecture):
    """BERT (Devlin and others, 2019, arXiv:1810.04805) at any size: learned positions, and norms after each part.

    There is no second kind of segment, since sentence pairs are not told apart (as in RoBERTa; Liu and others, 2019), and no dropout.
    """

    learns: ClassVar[type[Objective]] = MaskedTokens
    whole_windows: ClassVar[str | None] = "more tokens are hidden in one slice than in another, and the loss is their mean"
    family: ClassVar[Family] = Family("masked language model", "AutoModelForMaskedLM", "fill-mask")
    dim: int = 128
    """Width of the residual stream."""
    depth: int = 4
    """Layers."""
    heads: int = 4
    """Attention heads."""
    hidden: int | None = None
    """Inner width of the feed-forward network; None for 4 · dim."""
    norm_epsilon: float = 1e-12

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "heads", "inner"))
        check_heads(self.dim, self.heads)

    @property
    def inner(self) -> int:
        """Inner width of the feed-forward network."""
        return 4 * self.dim if self.hidden is None else self.hidden

    def build(self, vocab_size: int, context: int) -> "nn.Module":
        from pipeline.models.bert_encoder import Encoder

        return Encoder(self.settings(vocab_size, context))

    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """Of masked language modelling as it is unless told otherwise."""
        return self.flops_for(MaskedTokens(), vocab_size, context)

    def flops_for(self, objective: Objective, vocab_size: int, context: int) -> int:
        """6 · (weights in matrix products) + 12 · depth · dim · context, as of a decoder; the head counts for what is predicted."""
        assert isinstance(objective, MaskedTokens)
        weights = self.depth * (4 * self.dim**2 + 2 * self.dim * self.inner)
        head = objective.predictions(context) * (self.dim**2 + vocab_size * self.dim) / context
        return round(6 * (weights + head)) + 12 * self.depth * self.dim * context

    def parameter_count(self, vocab_size: int, context: int) -> int:
        layer = 4 * self.dim**2 + 2 * self.dim * self.inner + 9 * self.dim + self.inner
        head = self.dim**2 + 3 * self.dim + vocab_size
        return (vocab_size + context + 3) * self.dim + self.depth * layer + head

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:
        """Counted in each layer; the logits of what is predicted are held three times over."""
        assert isinstance(objective, MaskedTokens)
        head = objective.predictions(context) * (3 * vocab_size + 5 * self.dim)
        wide = self.depth * (4 * self.dim + self.heads + 4) + 2 * self.dim
        narrow = self.depth * (4 * self.dim + 2 * self.inner + apart * context)
        return Kept(wide=context * wide + head, narrow=context * narrow, once=0)

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        config = {"architectures": ["BertForMaskedLM"], "model_type": "bert", **self.settings(vocab_size, context)}
        return Export(config, {name: tensor for name, tensor in weights.items() if not name.startswith(TIED)}, generates=False)

    def settings(self, vocab_size: int, context: int) -> dict[str, Any]:
        """The shape in transformers' words, and the spread of first weights that suits the width (Nguyen and Salazar, 2019).

        At BERT's own width it is the 0.02 that BERT has; narrow models hardly begin to learn from that.
        """
        return {
            "vocab_size": vocab_size,
            "hidden_size": self.dim,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.depth,
            "num_attention_heads": self.heads,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "max_position_embeddings": context,
            "type_vocab_size": 1,
            "layer_norm_eps": self.norm_epsilon,
            "initializer_range": (2 / (5 * self.dim)) ** 0.5,
            "tie_word_embeddings": True,
        }
