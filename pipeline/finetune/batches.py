"""Many texts asked of a model a few at a time, those of like length together; what one is answered does not depend on the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


def in_batches(
    shown: Sequence[Sequence[int]], ask: "Callable[[Mapping[str, Tensor]], Sequence[T]]", padding: int, device: Any, rows: int
) -> Iterator[T]:
    """What `ask` says of each, in order. It is given `input_ids` and `attention_mask` [B, T], filled up behind."""
    import torch

    ordered = sorted(range(len(shown)), key=lambda number: len(shown[number]))
    said: dict[int, T] = {}
    for first in range(0, len(ordered), rows):
        chosen = ordered[first : first + rows]
        length = max(len(shown[number]) for number in chosen)
        ids = torch.full((len(chosen), length), padding)
        mask = torch.zeros_like(ids)
        for place, number in enumerate(chosen):
            ids[place, : len(shown[number])] = torch.tensor(shown[number])
            mask[place, : len(shown[number])] = 1
        said |= zip(chosen, ask({"input_ids": ids.to(device), "attention_mask": mask.to(device)}), strict=True)
    return (said[number] for number in range(len(shown)))
