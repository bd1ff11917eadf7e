"""What many windows cost a model, a few at a time, those of like length together."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.finetune.base import Arrays, FinetuneTask

TOKENS_AT_ONCE = 1 << 12
"""Of all windows of a batch: the logits of each stand in memory."""


def losses_of(task: FinetuneTask, model: Any, windows: Sequence[Arrays], padding: int) -> list[float]:
    """The loss of each window, in order."""
    import torch

    filling = {name: task.filling.get(name, padding) for name in task.inputs}
    found: dict[int, float] = {}
    for chosen in _batches([_length(window) for window in windows]):
        inputs = {
            name: torch.tensor(_filled([windows[number][name] for number in chosen], filling[name]), device=model.device)
            for name in task.inputs
        }
        found |= zip(chosen, task.losses(model, inputs).tolist(), strict=True)
    return [found[number] for number in range(len(windows))]


def _length(window: Arrays) -> int:
    return max(map(len, window.values()))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of the windows of each batch, short ones first."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[number] * (len(batch) + 1) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _filled(rows: Sequence[Sequence[int | float]], filling: int) -> list[list[int | float]]:
    longest = max(map(len, rows))
    return [[*row, *[filling] * (longest - len(row))] for row in rows]
