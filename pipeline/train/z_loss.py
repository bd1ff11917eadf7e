"""The z-term of a model's logits in its training: its head is told its weight, and tells of each pass what it came to."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pipeline.errors import RequestError

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

Besides = Callable[[], "Mapping[str, Tensor]"]
"""What a model tells of its last pass beside the loss: means over the rows that it was given."""


def weigh_logits(model: "nn.Module", weight: float) -> Besides:
    """Put the z-term into the gradients of a model; returns what tells the term of its last pass, as `z_loss`, in nats a token."""
    from pipeline.models.vocabulary import VocabularyHead

    head = next((module for module in model.modules() if isinstance(module, VocabularyHead)), None)
    if head is None:
        raise RequestError(f"objective.z_weight is {weight}, and the head of this model cannot be held to it: use 0")
    head.z_weight = weight
    return lambda: {"z_loss": weight * head.z}
