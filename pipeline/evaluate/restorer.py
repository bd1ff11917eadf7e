"""A model under test that restores what an objective hides from it, in pieces that its context holds.

N pieces, T tokens, K predictions, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RequestError
from pipeline.evaluate.base import Answer, Example
from pipeline.evaluate.subject import EXAMPLES_AT_ONCE, LARGEST_CONTEXT, LOGITS
from pipeline.inference.opening import open_model, open_tokenizer
from pipeline.objectives.base import Objective, held_out_rows
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.tokens.tokenizer import TOKENIZER

SHORTEST = 2
"""Of a piece of one token nothing would be left."""


class Restorer:
    """A checkpoint that answers what the hidden parts of texts cost it."""

    def __init__(self, folder: Path, objective: Objective) -> None:
        self.tokenizer = open_tokenizer(folder)
        end = self.tokenizer.eos_token_id
        if end is None or not (folder / TOKENIZER).is_file():
            raise RequestError(f"{folder} has no {TOKENIZER} that says what ends a text: name a checkpoint that was trained here")
        self.end: int = end
        self.questions = objective.questions(Lexicon(folder / TOKENIZER, len(self.tokenizer), end), "window", 0)
        opened_by, self.answer = self._asked(objective)
        self.model = open_model(folder, opened_by)
        greatest = getattr(self.model.config, "max_position_embeddings", LARGEST_CONTEXT)
        self.context = min(greatest, self.tokenizer.model_max_length, LARGEST_CONTEXT)

    def answers(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Answer]]:
        """Each example with its answer, in order; a few are held in memory at a time."""
        waiting = iter(examples)
        while some := list(islice(waiting, EXAMPLES_AT_ONCE)):
            yield from zip(some, self._answers(some), strict=True)

    def _answers(self, examples: list[Example]) -> Iterator[Answer]:
        texts = [(text, example.ends) for example in examples for text in example.texts]
        pieces = [(owner, piece) for owner, question in enumerate(texts) for piece in self._pieces(*question)]
        nats, tokens = [0.0] * len(texts), [0] * len(texts)
        for batch in self._batches(pieces):
            for (owner, _), cost, count in zip(batch, *self._costs([piece for _, piece in batch]), strict=True):
                nats[owner] += cost
                tokens[owner] += count
        place = 0
        for example in examples:
            own = slice(place, place + len(example.texts))
            yield Answer(tuple(nats[own]), tuple(tokens[own]))
            place = own.stop

    def _pieces(self, text: str, ends: bool) -> Iterator[list[int]]:
        """The tokens of a text in pieces of the context. What looks like a special token in it is text too."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        ids = [*ids, self.end] if ends else ids
        pieces = (ids[start : start + self.context] for start in range(0, len(ids), self.context))
        return (piece for piece in pieces if len(piece) >= SHORTEST)

    def _batches(self, pieces: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
        """Pieces of equal length together, as many as memory for their logits allows."""
        rows = max(1, LOGITS // (self.model.config.vocab_size * self.context))
        for _, equal in groupby(sorted(pieces, key=lambda piece: len(piece[1])), key=lambda piece: len(piece[1])):
            while batch := list(islice(equal, rows)):
                yield batch

    @torch.no_grad()
    def _costs(self, pieces: list[list[int]]) -> tuple[list[float], list[int]]:
        """The nats of each piece's predictions, and how many there are."""
        batch = held_out_rows(np.array(pieces, np.int64))
        inputs = [torch.from_numpy(array).to(self.model.device) for array in self.questions.inputs(batch, slice(0, len(pieces)), None)]
        logits_NKV, targets_NK = self.answer(*inputs)
        nats = functional.cross_entropy(logits_NKV.float().flatten(0, 1), targets_NK.flatten(), reduction="none").view_as(targets_NK)
        return nats.sum(dim=1, dtype=torch.float64).tolist(), (targets_NK >= 0).sum(dim=1).tolist()

    def _asked(self, objective: Objective) -> tuple[str, Callable[..., tuple[Tensor, Tensor]]]:
        """What opens a model of an objective, and how it answers: logits [N, K, V] and targets [N, K] for its inputs."""
        match objective:
            case MaskedTokens():
                return "AutoModelForMaskedLM", self._masked
            case CorruptedSpans():
                return "AutoModelForSeq2SeqLM", self._spans
            case _:
                raise RequestError(f"objective is {type(objective).__name__}, which hides nothing to be restored: ask for perplexity")

    def _masked(self, tokens_NT: Tensor, places_NK: Tensor, targets_NK: Tensor) -> tuple[Tensor, Tensor]:
        logits_NTV = self.model(tokens_NT).logits
        return logits_NTV.gather(1, places_NK[..., None].expand(-1, -1, logits_NTV.shape[-1])), targets_NK

    def _spans(self, read_NS: Tensor, given_NK: Tensor, targets_NK: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(input_ids=read_NS, decoder_input_ids=given_NK).logits, targets_NK
