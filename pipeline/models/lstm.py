"""The language model from before attention, as a baseline: an embedding, layers of LSTM, a head.

transformers has no class for it, so the exported folder is opened by one of ours, in the same way:

    from pipeline.models.lstm_checkpoint import LstmForCausalLM
    model = LstmForCausalLM.from_pretrained(".")

`import pipeline.models.lstm_checkpoint` alone is enough for `AutoModelForCausalLM` to know it too. The tokenizer needs nothing of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipeline.errors import RequestError
from pipeline.models.base import Architecture, Export, Family, Kept
from pipeline.models.shapes import check_counts, check_fractions, kept_by_head
from pipeline.objectives.base import Objective

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

MODEL_TYPE = "millrace_lstm"
"""How its config.json names it."""


@dataclass(frozen=True, kw_only=True)
class Lstm(Architecture):
    """A recurrent language model (Zaremba and others, 2014, arXiv:1409.2329), with a head that may share the embedding (Merity and
    others, 2017, arXiv:1708.02182).

    Each window, and each document where documents are told apart, begins with an empty state: the order of windows is a
    random one, so there is no state of the window before to go on from.
    """

    layered: ClassVar[bool] = False
    whole_windows: ClassVar[str | None] = "each token waits for the state that the one before it leaves"
    uncompiled: ClassVar[str | None] = "its layers are one function of torch's, and no Python"
    family: ClassVar[Family] = Family(
        "recurrent language model (LSTM)", "AutoModelForCausalLM", "text-generation", "pipeline.models.lstm_checkpoint"
    )
    dim: int = 128
    """Width of the embedding."""
    depth: int = 2
    """Layers."""
    hidden: int | None = None
    """Width of a layer's state; None for dim."""
    dropout: float = 0.0
    """Share of what passes up from the embedding and from each layer that is left out in training; states are passed on whole."""
    tied: bool = True
    """Whether the head is the embedding's own matrix."""

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "depth", "hidden"))
        check_fractions(self, ("dropout",))
        if self.tied and self.width != self.dim:
            raise RequestError(
                f"model.hidden is {self.hidden}, which a head that shares the embedding of dim {self.dim} cannot read:"
                " use the same width, or tied=False"
            )

    @property
    def width(self) -> int:
        """Width of a layer's state."""
        return self.dim if self.hidden is None else self.hidden

    def build(self, vocab_size: int, context: int) -> "nn.Module":  # noqa: ARG002 - a state knows no greatest context
        from pipeline.models.lstm_network import Network

        return Network(self, vocab_size)

    def flops_per_token(self, vocab_size: int, context: int) -> int:  # noqa: ARG002 - a step costs the same wherever it is
        """6 · (weights in matrix products), counted as for `Llama`: four gates a layer, each from what comes in and from the state."""
        return 6 * (self._gates + vocab_size * self.width)

    @property
    def _gates(self) -> int:
        """The weights of all layers."""
        below = [self.dim, *[self.width] * (self.depth - 1)]
        return sum(4 * self.width * (width + self.width) for width in below)

    def parameter_count(self, vocab_size: int, context: int) -> int:  # noqa: ARG002 - a state knows no greatest context
        head = 0 if self.tied else vocab_size * self.width
        return vocab_size * self.dim + self._gates + 8 * self.depth * self.width + head

    def kept(self, objective: Objective, vocab_size: int, context: int, apart: bool) -> Kept:  # noqa: ARG002 - a state begins anew at no cost
        """Counted in each layer as PyTorch's own LSTM keeps it on a CPU."""
        wide, narrow = self.depth * (6 * self.width + 16), (10 * self.depth + 1) * self.width + self.dim
        return Kept(wide=context * wide, narrow=context * narrow, once=kept_by_head(self.width, vocab_size))

    def export(self, weights: "Mapping[str, Tensor]", vocab_size: int, context: int) -> Export:
        config = {
            "architectures": ["LstmForCausalLM"],
            "model_type": MODEL_TYPE,
            "vocab_size": vocab_size,
            "embedding_size": self.dim,
            "hidden_size": self.width,
            "num_hidden_layers": self.depth,
            "dropout": self.dropout,
            "max_position_embeddings": context,
            "tie_word_embeddings": self.tied,
        }
        dropped = "lm_head.weight" if self.tied else None
        return Export(config, {name: tensor for name, tensor in weights.items() if name != dropped})
