"""A model under test: it answers how likely it finds texts, in windows that its context holds.

B windows, T tokens, V vocabulary
"""
# ruff: noqa: N806 - shape letters are capitals

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.evaluate.base import Answer, Example
from pipeline.inference.opening import beginning, open_model, open_tokenizer

LARGEST_CONTEXT = 4096
"""A foreign model may allow more than memory does."""
LOGITS = 1 << 26
"""Logits that are held at once."""
EXAMPLES_AT_ONCE = 64
UNSCORED = -100


@dataclass(frozen=True)
class Window:
    """Some tokens of a text; of the predictions of tokens[1:], the last `scored` count."""

    owner: int
    tokens: list[int]
    scored: int


class Subject:
    """A checkpoint that answers examples."""

    def __init__(self, folder: Path) -> None:
        require_writer(folder)
        self.model, self.tokenizer = open_model(folder), open_tokenizer(folder)
        self.begin = beginning(self.model)
        self.end = self.tokenizer.eos_token_id if self.tokenizer.eos_token_id is not None else self.begin
        self.context = context_of(self.model)

    def answers(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Answer]]:
        """Each example with its answer, in order; a few are held in memory at a time."""
        waiting = iter(examples)
        while some := list(islice(waiting, EXAMPLES_AT_ONCE)):
            yield from zip(some, self._answers(some), strict=True)

    def _answers(self, examples: list[Example]) -> Iterator[Answer]:
        asked = [(example.given, text, example.ends) for example in examples for text in example.texts]
        windows = [window for owner, question in enumerate(asked) for window in self._windows(owner, *question)]
        nats, tokens = [0.0] * len(asked), [0] * len(asked)
        for batch in self._batches(windows):
            for window, cost in zip(batch, self._costs(batch), strict=True):
                nats[window.owner] += cost
                tokens[window.owner] += window.scored
        place = 0
        for example in examples:
            own = slice(place, place + len(example.texts))
            yield Answer(tuple(nats[own]), tuple(tokens[own]))
            place = own.stop

    def _windows(self, owner: int, given: str, text: str, ends: bool) -> list[Window]:
        before = [self.begin, *self._encode(given)]
        return windows(owner, before, [*self._encode(text), *([self.end] if ends else [])], self.context)

    def _encode(self, text: str) -> list[int]:
        """The ids of plain text: what looks like a special token in it is text too."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return ids

    def _batches(self, windows: list[Window]) -> Iterator[list[Window]]:
        """Windows of like length together, as many as memory for their logits allows."""
        ordered = sorted(windows, key=lambda window: len(window.tokens))
        rows = max(1, LOGITS // (self.model.config.vocab_size * self.context))
        return (ordered[start : start + rows] for start in range(0, len(ordered), rows))

    @torch.no_grad()
    def _costs(self, batch: list[Window]) -> list[float]:
        """The nats of each window's scored predictions. Short windows are filled up behind, where a causal model cannot see it."""
        length = max(len(window.tokens) for window in batch) - 1
        tokens_BT = torch.full((len(batch), length), self.begin)
        targets_BT = torch.full((len(batch), length), UNSCORED)
        for row, window in enumerate(batch):
            count = len(window.tokens) - 1
            tokens_BT[row, :count] = torch.tensor(window.tokens[:-1])
            targets_BT[row, count - window.scored : count] = torch.tensor(window.tokens[1:][count - window.scored :])
        tokens_BT = tokens_BT.to(self.model.device)
        logits_BTV = self.model(tokens_BT, attention_mask=torch.ones_like(tokens_BT)).logits.float()
        nats = functional.cross_entropy(
            logits_BTV.flatten(0, 1), targets_BT.flatten().to(logits_BTV.device), ignore_index=UNSCORED, reduction="none"
        )
        return nats.view(len(batch), length).sum(dim=1, dtype=torch.float64).tolist()


def require_writer(folder: Path) -> None:
    """Raise RequestError for a model that was tuned to label texts: opened as one that continues them, it would guess at random."""
    try:
        named = json.loads((folder / "config.json").read_bytes())["architectures"][0]
    except (OSError, ValueError, LookupError, TypeError):  # whoever opens it says what is wrong
        return
    if str(named).endswith(("Classification", "QuestionAnswering", "MultipleChoice")):
        raise RequestError(
            f"{folder} holds a {named}, which labels texts and finds none likely: evaluate what it was tuned from, or another"
        )


def context_of(model: Any) -> int:
    """The most tokens that a model is asked to read at once."""
    return min(getattr(model.config, "max_position_embeddings", LARGEST_CONTEXT), LARGEST_CONTEXT)


def windows(owner: int, before: list[int], text: list[int], context: int) -> list[Window]:
    """Cut before + text into windows of `context` inputs, so that every token of the text is predicted exactly once.

    Windows overlap by half: a token that is not near the beginning is predicted from at least context / 2 tokens.
    """
    whole, done, found = [*before, *text], len(before), list[Window]()
    start = max(0, done - 1 - context // 2)
    while done < len(whole):
        stop = min(start + context + 1, len(whole))
        found.append(Window(owner, whole[start:stop], stop - done))
        start, done = stop - 1 - context // 2, stop
    return found
