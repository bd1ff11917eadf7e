"""A model under test that says how likely it would continue one text with another, as lm-eval asks it.

Prompts and continuations are encoded together, a prompt that is too long loses its beginning, and choices that follow the same
prompt are asked about after reading it once.

B rows, G prompts, K positions with logits, S scored positions, T tokens, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.evaluate.continuations import Likelihoods, Pair, Question
from pipeline.evaluate.subject import LOGITS, context_of, require_writer, windows
from pipeline.inference.opening import beginning, open_model, open_tokenizer

QUESTIONS_AT_ONCE = 512
TOKENS = 1 << 14
"""Tokens that are read at once."""
CACHED = 1 << 19
"""Logits that fit into a core's cache."""


@dataclass(frozen=True)
class Passage:
    """Tokens `text` after tokens `before`, for the pair at a place; together they fit into the context."""

    owner: int
    before: tuple[int, ...]
    text: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        return (*self.before, *self.text[:-1])


class Continuer:
    """A checkpoint that answers questions."""

    def __init__(self, folder: Path) -> None:
        require_writer(folder)
        self.model, self.tokenizer = open_model(folder), open_tokenizer(folder)
        named = [token for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if token is not None]
        self.begin: int = named[0] if named else beginning(self.model)
        self.context = context_of(self.model)
        told = signature(self.model.forward).parameters
        self.keeps_few = "logits_to_keep" in told
        slides = getattr(self.model.config, "sliding_window", None) is not None
        self.remembers = "position_ids" in told and not slides and bool(self.model._supports_default_dynamic_cache())

    def answers(self, examples: Iterable[Question]) -> Iterator[tuple[Question, Likelihoods]]:
        """Each question with its answer, in order; a few hundred are held in memory at a time."""
        waiting = iter(examples)
        while some := list(islice(waiting, QUESTIONS_AT_ONCE)):
            yield from zip(some, self._answers(some), strict=True)

    def _answers(self, questions: Sequence[Question]) -> Iterator[Likelihoods]:
        places: dict[Pair, int] = {}
        for question in questions:
            for pair in question.pairs:
                places.setdefault(pair, len(places))
        tally = Tally(len(places))
        passages = [
            passage for owner, encoded in enumerate(self._encoded(list(places))) for passage in self._passages(owner, encoded, tally)
        ]
        self._ask(passages, tally)
        for question in questions:
            own = [places[pair] for pair in question.pairs]
            yield Likelihoods(
                logs=tuple(tally.logs[own].tolist()),
                tokens=tuple(tally.tokens[own].tolist()),
                greedy=tuple(tally.greedy[own].tolist()),
                truncated=int(tally.truncated[own].sum()),
            )

    def _encoded(self, pairs: Sequence[Pair]) -> Iterator[tuple[list[int], list[int]]]:
        """The tokens of each pair's prompt and text, encoded together and cut where the prompt's own tokens end.

        Spaces at the end of a prompt belong to the text. What looks like a special token is text. Where a text leaves no token
        of its own, since all of it went into the prompt's last one, it is encoded by itself.
        """
        prompts = [pair.given.rstrip() for pair in pairs]
        texts = [pair.given[len(prompt) :] + pair.text for pair, prompt in zip(pairs, prompts, strict=True)]
        alone = self._ids(texts, special=False)
        distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
        before = self._ids(list(distinct), special=True)
        whole = self._ids([prompt + text for prompt, text in zip(prompts, texts, strict=True)], special=True)
        for prompt, own, together in zip(prompts, alone, whole, strict=True):
            given = before[distinct[prompt]] if prompt else []
            if given:
                yield given, together[len(given) :] or own
            else:
                yield ([self.begin], own) if own[:1] != [self.begin] else (own[:1], own[1:])

    def _ids(self, texts: list[str], special: bool) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=special, split_special_tokens=True, verbose=False)["input_ids"]
        return ids

    def _passages(self, owner: int, encoded: tuple[list[int], list[int]], tally: "Tally") -> Iterator[Passage]:
        """A pair as the context holds it: its beginning is cut off, and a text that is too long by itself is read in windows."""
        before, text = encoded
        tally.truncated[owner] = len(before) + len(text) > self.context + 1
        tally.tokens[owner] = len(text)
        if len(text) > self.context:
            for window in windows(owner, before[-1:], text, self.context):
                yield Passage(owner, tuple(window.tokens[: -window.scored]), tuple(window.tokens[-window.scored :]))
        elif text:
            yield Passage(owner, tuple(before[-(self.context + 1 - len(text)) :]), tuple(text))

    def _ask(self, passages: Sequence[Passage], tally: "Tally") -> None:
        """Passages that begin alike are read together, where the model can go on from what it has read."""
        ordered = sorted(passages, key=lambda passage: (len(passage.before), passage.before, len(passage.text)))
        prompts = [list(alike) for _, alike in groupby(ordered, key=lambda passage: passage.before)]
        shared = [alike for alike in prompts if self.remembers and len(alike) > 1]
        single = [passage for alike in prompts if not self.remembers or len(alike) == 1 for passage in alike]
        for batch in self._batches(single):
            self._read(batch, tally)
        for prompts_read in self._batches_of_prompts(shared):
            self._read_on(prompts_read, tally)

    def _batches(self, passages: Sequence[Passage]) -> Iterator[list[Passage]]:
        """Passages of like length, the longest first, as many as fit."""
        batch: list[Passage] = []
        for passage in sorted(passages, key=lambda passage: -len(passage.inputs)):
            if batch and not self._fits(len(batch) + 1, len(batch[0].inputs), _kept([*batch, passage])):
                yield batch
                batch = []
            batch.append(passage)
        if batch:
            yield batch

    def _batches_of_prompts(self, prompts: Sequence[list[Passage]]) -> Iterator[list[list[Passage]]]:
        """Prompts of like length with the passages that begin with them, the shortest first, as many as fit."""
        batch: list[list[Passage]] = []
        for alike in prompts:
            rows = len(alike) + sum(map(len, batch))
            longest = max(len(passages[-1].text) for passages in (*batch, alike))
            kept = max(longest, len(alike[0].before) - len((*batch, alike)[0][0].before) + 1)
            if batch and not self._fits(rows, len(alike[0].before) + longest, kept):
                yield batch
                batch = []
            batch.append(alike)
        if batch:
            yield batch

    def _fits(self, rows: int, length: int, kept: int) -> bool:
        """Whether rows of a length can be read at once, with logits at `kept` places of each."""
        logits = rows * (kept if self.keeps_few else length) * self.model.config.vocab_size
        return rows * length <= TOKENS and logits <= (LOGITS if self.model.device.type == "cuda" else LOGITS // 4)

    def _read(self, batch: Sequence[Passage], tally: "Tally") -> None:
        """Passages from their beginnings."""
        kept = _kept(batch)
        logits_BKV, _ = self._logits([passage.inputs for passage in batch], kept)
        first = len(batch[0].inputs) - kept
        tally.add(
            logits_BKV, [Span(passage.owner, row, len(passage.before) - 1 - first, passage.text) for row, passage in enumerate(batch)]
        )

    def _read_on(self, prompts: Sequence[Sequence[Passage]], tally: "Tally") -> None:
        """Each prompt once, which gives the first token of every text; then the texts, for the others."""
        lengths = [len(alike[0].before) for alike in prompts]
        first = min(lengths) - 1
        logits_GKV, cache = self._logits([alike[0].before for alike in prompts], max(lengths) - first, remember=True)
        rows = [(row, passage) for row, alike in enumerate(prompts) for passage in alike]
        tally.add(logits_GKV, [Span(passage.owner, row, lengths[row] - 1 - first, passage.text[:1]) for row, passage in rows])
        longer = [(row, passage) for row, passage in rows if len(passage.text) > 1]
        if longer:
            cache.batch_select_indices(torch.tensor([row for row, _ in longer], device=self.model.device))
            read = Read(cache, [lengths[row] for row, _ in longer], max(lengths))
            texts = [passage.text[:-1] for _, passage in longer]
            logits_BTV, _ = self._logits(texts, max(map(len, texts)), read)
            tally.add(logits_BTV, [Span(passage.owner, row, 0, passage.text[1:]) for row, (_, passage) in enumerate(longer)])

    @torch.no_grad()
    def _logits(self, rows: Sequence[Sequence[int]], kept: int, read: "Read | None" = None, remember: bool = False) -> tuple[Tensor, Any]:
        """Logits [B, K, V] at the last `kept` places of rows that follow what was read, and what the model remembers of them.

        Short rows are filled up behind, where a causal model cannot see it.
        """
        length = max(map(len, rows))
        tokens_BT = torch.tensor([[*row, *[self.begin] * (length - len(row))] for row in rows])
        options: dict[str, Any] = {"logits_to_keep": kept} if self.keeps_few else {}
        mask_BT = torch.ones_like(tokens_BT)
        if read is not None:
            lengths_B1 = torch.tensor(read.lengths)[:, None]
            mask_BT = torch.cat(((torch.arange(read.width) < lengths_B1).long(), mask_BT), dim=1)
            options |= {"past_key_values": read.cache, "position_ids": (lengths_B1 + torch.arange(length)).to(self.model.device)}
        device = self.model.device
        found = self.model(tokens_BT.to(device), attention_mask=mask_BT.to(device), use_cache=remember or read is not None, **options)
        return found.logits[:, -kept:], found.past_key_values if remember else None


@dataclass(frozen=True)
class Read:
    """What a model remembers of prompts, one a row: `width` places, of which the first ones up to its length are a prompt's own."""

    cache: Any
    lengths: list[int]
    width: int


def _kept(batch: Sequence[Passage]) -> int:
    """The places, counted from the end of the longest, at which some text of a batch is predicted."""
    return max(len(passage.inputs) for passage in batch) - min(len(passage.before) for passage in batch) + 1


class Span(NamedTuple):
    """Tokens of a pair's text, and where the logits of their predictions begin."""

    owner: int
    row: int
    start: int
    tokens: Sequence[int]


class Tally:
    """What is known so far of some pairs: logs, tokens, greedy, truncated [pairs]."""

    def __init__(self, pairs: int) -> None:
        self.logs: NDArray[np.float64] = np.zeros(pairs)
        self.tokens: NDArray[np.int64] = np.zeros(pairs, np.int64)
        self.greedy: NDArray[np.bool_] = np.ones(pairs, np.bool_)
        self.truncated: NDArray[np.bool_] = np.zeros(pairs, np.bool_)

    def add(self, logits_BKV: Tensor, spans: Sequence[Span]) -> None:
        """Count the predictions of spans."""
        kept, device = logits_BKV.shape[1], logits_BKV.device
        places = [span.row * kept + span.start + place for span in spans for place in range(len(span.tokens))]
        places_S = torch.tensor(places, device=device)
        targets_S = torch.tensor([token for span in spans for token in span.tokens], device=device)
        owners = np.repeat([span.owner for span in spans], [len(span.tokens) for span in spans])
        logs, greedy = _judged(logits_BKV.flatten(0, 1), places_S, targets_S)
        np.add.at(self.logs, owners, logs)
        np.logical_and.at(self.greedy, owners, greedy)


def _judged(logits_NV: Tensor, places_S: Tensor, targets_S: Tensor) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The log-probability of each target at its place, and whether it is the likeliest; on a CPU, as many at once as its cache holds."""
    rows = max(1, CACHED // logits_NV.shape[1]) if logits_NV.device.type == "cpu" else len(places_S)
    logs, greedy = [], []
    for places, targets in zip(torch.split(places_S, rows), torch.split(targets_S, rows), strict=True):
        logits = logits_NV.index_select(0, places).float()
        logs.append(-functional.cross_entropy(logits, targets, reduction="none"))
        greedy.append(logits.argmax(dim=-1) == targets)
    return torch.cat(logs).cpu().double().numpy(), torch.cat(greedy).cpu().numpy()
