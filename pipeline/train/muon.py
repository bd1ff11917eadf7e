"""Muon: the update of a matrix is its momentum, made orthogonal, so that every direction of it counts alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pipeline.errors import RequestError
from pipeline.train.engine import AdamW, Optimizer

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import nn, optim


@dataclass(frozen=True, kw_only=True)
class Muon(Optimizer):
    """Muon for the matrices of hidden layers (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon), AdamW for the rest.

    The rest is embeddings, the head, norms, biases, and weights of more dimensions than two (the experts of a mixture, which are
    one weight together). An update is scaled to the size that AdamW's usually have (Liu and others, 2025, arXiv:2502.16982,
    section 2.2), so learning rates and decay that were found for AdamW serve here too.
    """

    by_matrix: ClassVar[bool] = True
    momentum: float = 0.95
    """Of the gradients of matrices, as Nesterov has it."""
    weight_decay: float = 0.1
    """Of matrices."""
    rest: AdamW = AdamW()

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise RequestError(f"update.optimizer.momentum is {self.momentum}: use a number from 0 up to, but not including, 1")
        if not 0 <= self.weight_decay < 1:
            raise RequestError(f"update.optimizer.weight_decay is {self.weight_decay}: use a number from 0 up to, but not including, 1")

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        from pipeline.train.together import Together, hidden_matrices, muon_of

        hidden = hidden_matrices(model)
        among = set(map(id, hidden))
        rest = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in among]
        return Together(muon_of(hidden, self.momentum, self.weight_decay), self.rest.build_of(rest))
