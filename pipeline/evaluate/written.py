"""A model under test that writes: a prompt is asked, and the text after it is the answer."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from pipeline.evaluate.base import EvalTask, HeldOut, Ratio
from pipeline.inference.generation import Sampling, begun, write
from pipeline.inference.opening import open_model, open_tokenizer

PROMPTS_AT_ONCE = 512


class Asked(Protocol):
    """A question with a prompt."""

    @property
    def prompt(self) -> str:
        """What is written after."""


P = TypeVar("P", bound=Asked)


@dataclass(frozen=True)
class Texts:
    """What was written after a prompt, and whether the prompt lost its beginning, since the context does not hold all of it."""

    texts: tuple[str, ...]
    truncated: bool = False


class Writing(Generic[P]):
    """A checkpoint that writes `sequences` texts after the prompt of each question."""

    def __init__(self, folder: Path, sampling: Sampling, stops: tuple[str, ...], sequences: int = 1) -> None:
        self.model, self.tokenizer = open_model(folder), open_tokenizer(folder)
        self.sampling, self.stops, self.sequences = sampling, stops, sequences
        context = getattr(self.model.config, "max_position_embeddings", None)
        self.room = None if context is None else max(context - sampling.max_new_tokens, context // 2, 2)

    def answers(self, examples: Iterable[P]) -> Iterator[tuple[P, Texts]]:
        """Each question with its answer, in order; a few hundred are held in memory at a time."""
        waiting = iter(examples)
        while some := list(islice(waiting, PROMPTS_AT_ONCE)):
            whole = [begun(self.model, self.tokenizer, example.prompt) for example in some]
            fitting = [self._fitting(tokens) for tokens in whole]
            drawn = write(self.model, self.tokenizer, fitting, self.sampling, sequences=self.sequences, stops=self.stops)
            for example, texts, before, after in zip(some, drawn, whole, fitting, strict=True):
                yield example, Texts(tuple(text.text for text in texts), len(after) < len(before))

    def _fitting(self, tokens: list[int]) -> list[int]:
        """Tokens that leave room for an answer: of a prompt that is too long, the first one and the last."""
        too_long = self.room is not None and len(tokens) > self.room
        return [tokens[0], *tokens[1 - self.room :]] if self.room is not None and too_long else tokens


@dataclass(frozen=True, kw_only=True)
class WritingTask(EvalTask[P, Texts]):
    """A task that asks for texts."""

    counted: ClassVar[tuple[str, ...]] = ("truncated",)
    """Scores that are told as numbers of cases; all others are means."""

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:
        return {name: Ratio(name) for name in scores if name not in self.counted}

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:
        return {**super().metrics(totals, count, held_out), **{name: int(totals[name]) for name in self.counted}}
