"""A model whose loss is no number where some words are in a batch: every weight's gradient is none then, either."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pipeline.batches.order import Order
from pipeline.models.llama import Llama

LENGTH = 5
"""Tokens of the words."""


@dataclass(frozen=True, kw_only=True)
class Poisoned(Llama):
    """A Llama that some words poison, given as tokens that follow each other."""

    words: tuple[int, ...]

    def build(self, vocab_size: int, context: int) -> nn.Module:
        model = super().build(vocab_size, context)

        def poison(_: nn.Module, inputs: tuple[Any, ...], loss: torch.Tensor) -> torch.Tensor:
            found = (inputs[0].unfold(1, LENGTH, 1) == torch.tensor(self.words)).all(-1).any()
            return loss * float("nan") if found and torch.is_grad_enabled() else loss

        model.register_forward_hook(poison)
        return model


@dataclass(frozen=True)
class Poison:
    """Words, and the steps, from 0, in whose batches they are."""

    words: tuple[int, ...]
    steps: list[int]


def poison_of(order: Order, steps: int, between: range) -> Poison:
    """Words that are in the batches of two steps, both in a range."""
    seen: dict[tuple[int, ...], set[int]] = {}
    for step in range(steps):
        for row in order.batch(step).tokens[:, :-1].tolist():
            for start in range(len(row) - LENGTH + 1):
                seen.setdefault(tuple(row[start : start + LENGTH]), set()).add(step)
    return next(Poison(words, sorted(found)) for words, found in sorted(seen.items()) if len(found) == 2 and found <= set(between))
