"""Two optimizers of PyTorch as one, and which weights of a model Muon is for."""

from typing import Any

from torch import nn, optim
from torch.optim import Optimizer as TorchOptimizer

from pipeline.models.vocabulary import VocabularyHead

SIZED_AS_ADAMW = "match_rms_adamw"


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained weights of two dimensions that are neither an embedding nor the head."""
    edges = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding | VocabularyHead)}
    return [weight for weight in model.parameters() if weight.requires_grad and weight.dim() == 2 and id(weight) not in edges]


def muon_of(matrices: list[nn.Parameter], momentum: float, weight_decay: float) -> TorchOptimizer:
    """PyTorch's Muon, whose five steps of Newton and Schulz are in bf16 as its authors have them."""
    return optim.Muon(matrices, momentum=momentum, weight_decay=weight_decay, adjust_lr_fn=SIZED_AS_ADAMW)


class Together(TorchOptimizer):
    """Optimizers of different weights, with one state and the groups of all."""

    def __init__(self, *parts: TorchOptimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts, first = parts, 0
        for part in parts:
            count = len(part.param_groups)
            part.param_groups, part.state = self.param_groups[first : first + count], self.state
            first += count

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002 - nobody has a closure
        """An update by each."""
        for part in self.parts:
            part.step()
