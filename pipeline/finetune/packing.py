"""Several texts in one window, each read as if it stood alone.

A window that is packed has a number for the text that each of its tokens belongs to, counted from 1. A transformer is told where texts
begin by positions that begin anew, by which transformers keeps attention inside each; an LSTM's state begins anew.

B windows, T tokens, V vocabulary
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.finetune.base import DOCUMENTS, Arrays
from pipeline.models.lstm import MODEL_TYPE as LSTM

if TYPE_CHECKING:
    from torch import Tensor

BY_POSITIONS = frozenset({"gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen3"})
"""The families of transformers that read packed texts as if they stood alone, held by tests; a text of others has its own window."""


def can_pack(family: str) -> bool:
    """Whether models of a family read packed texts as if they stood alone."""
    return family in BY_POSITIONS or family == LSTM


def joined(windows: Sequence[Arrays]) -> Arrays:
    """Windows one behind the other, with their texts numbered."""
    behind = {name: [value for window in windows for value in window[name]] for name in windows[0]}
    numbered = [number for number, window in enumerate(windows, 1) for _ in window["input_ids"]]
    return {**behind, DOCUMENTS: numbered}


def best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """What goes together: the longest first, each to where it leaves the least room (best-fit decreasing; Johnson, 1973)."""
    groups: list[list[int]] = []
    left: list[tuple[int, int]] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        place = bisect_left(left, (lengths[number], 0))
        if place < len(left):
            space, group = left.pop(place)
        else:
            space, group = room, len(groups)
            groups.append([])
        groups[group].append(number)
        insort(left, (space - lengths[number], group))
    return groups


def logits_of(model: Any, input_ids: "Tensor", documents: "Tensor") -> "Tensor":
    """The logits [B, T, V] of tokens [B, T], each after those before it in its own text; 0 in `documents` is what windows are filled by."""
    from pipeline.finetune.learner import quiet

    family = model.config.model_type
    if family in BY_POSITIONS:  # with a cache, transformers does not look where positions begin anew
        told = {"position_ids": places(documents), "use_cache": False}
    else:
        told = {"attention_mask": documents if family == LSTM else (documents > 0).long()}
    with quiet():
        logits: Tensor = model(input_ids=input_ids, **told).logits
    return logits


def places(documents: "Tensor") -> "Tensor":
    """The place of each token in its own text, [B, T]."""
    import torch

    counted = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return counted - (counted * begins).cummax(dim=1).values
