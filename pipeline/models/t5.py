"""An encoder and a decoder: the first reads a text with gaps, the second writes what belongs into them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.models.base import Architecture, Export, Family, Kept
from pipeline.models.shapes import check_counts, check_heads, kept_by_head
from pipeline.objectives.base import Objective
from pipeline.objectives.corrupted_spans import CorruptedSpans

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

INNER_MULTIPLE = 32
BUCKETS = 32
"""Distances that relative positions tell apart, as transformers has them."""
TIED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
"""Other names of the one embedding."""


@dataclass(frozen=True, kw_only=True)
class T5(Architecture):
    """T5 (Raffel and others, 2020, arXiv:1910.10683) at any size: relative positions, and the gated feed-forward network of version 1.1.

    The head is the embedding's own matrix, as in version 1.0, and as transformers has it for both. There is no dropout.
    """

    learns: ClassVar[type[Objective]] = CorruptedSpans
    whole_windows: ClassVar[str | None] = "it becomes two texts of other lengths"
    family: ClassVar[Family] = Family("encoder-decoder language model", "AutoModelForSeq2SeqLM", "text2text-generation")
    dim: int = 128
    """Width of the residual streams."""
    depth: int = 3
    """Layers of the encoder, and as many of the decoder."""
    heads: int = 4
    """Attention heads."""
    hidden: int | None = None
    """Inner width of the feed-forward networks; None for 8/3 · dim, rounded up to a multiple of 32."""
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "heads", "inner"))
        check_heads(self.dim, self.heads)

    @property
    def inner(self) -> int:
        """Inner width of the feed-forward networks."""
        return self.hidden if self.hidden is not None else -(-8 * self.dim // (3 * INNER_MULTIPLE)) * INNER_MULTIPLE

    def build(self, vocab_size: int, context: int) -> "nn.Module":  # noqa: ARG002 - relative positions know no greatest context
        from pipeline.models.t5_encoder_decoder import EncoderDecoder

        return EncoderDecoder(self.settings(vocab_size))

    def flops_per_token(self, vocab_size: int, context: int) -> int:
        """Of span corruption as it is unless told otherwise."""
        return self.flops_for(CorruptedSpans(), vocab_size, context)

    def flops_for(self, objective: Objective, vocab_size: int, context: int) -> int:
        """Of the matrix products for a window, divided by its tokens before any were cut out; attention's halves count in full."""
        assert isinstance(objective, CorruptedSpans)
        read, written = objective.lengths(context)
        square, feed_forward = self.dim**2, 3 * self.dim * self.inner
        encoder = read * (4 * square + feed_forward)
        decoder = written * (6 * square + feed_forward) + read * 2 * square
        pairs = read * read + written * written + written * read
        window = 6 * (self.depth * (encoder + decoder) + written * vocab_size * self.dim) + 12 * self.depth * self.dim * pairs
        return round(window / context)

    def parameter_count(self, vocab_size: int, context: int) -> int:  # noqa: ARG002 - relative positions know no greatest context
        both = self.depth * (12 * self.dim**2 + 6 * self.dim * self.inner + 5 * self.dim)
        return vocab_size * self.dim + both + 2 * (self.dim + BUCKETS * self.heads)

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:  # noqa: ARG002 - windows are taken whole
        """Counted in each layer; positions are a term of attention's weights, so that these are kept for all pairs of tokens."""
        assert isinstance(objective, CorruptedSpans)
        read, written = objective.lengths(context)
        streams = (12 * read + 15 * written) * self.dim
        wide = self.depth * (streams + self.heads * (read**2 + written**2)) + 3 * (read + written) * self.dim
        narrow = 7 * self.depth * (read + written) * self.inner
        return Kept(wide=wide, narrow=narrow, once=kept_by_head(self.dim, vocab_size))

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:  # noqa: ARG002
        config = {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", **self.settings(vocab_size)}
        return Export(config, {name: tensor for name, tensor in weights.items() if name not in TIED})

    def settings(self, vocab_size: int) -> dict[str, Any]:
        """The shape in transformers' words."""
        return {
            "vocab_size": vocab_size,
            "d_model": self.dim,
            "d_kv": self.dim // self.heads,
            "d_ff": self.inner,
            "num_layers": self.depth,
            "num_decoder_layers": self.depth,
            "num_heads": self.heads,
            "feed_forward_proj": "gated-gelu",
            "dropout_rate": 0.0,
            "layer_norm_epsilon": self.norm_epsilon,
            "is_encoder_decoder": True,
            "tie_word_embeddings": True,
        }
