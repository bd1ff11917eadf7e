"""Completing a text with the word that it ends in, as LAMBADA asks (Paperno and others, 2016)."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pipeline.errors import RequestError
from pipeline.evaluate.base import HeldOut, Ratio
from pipeline.evaluate.continuations import ContinuationTask, Likelihoods, Pair, Question
from pipeline.evaluate.file_task import FewShotTask
from pipeline.evaluate.task_file import Row
from pipeline.evaluate.template import filled


@dataclass(frozen=True, kw_only=True)
class Cloze(ContinuationTask, FewShotTask[Question, Likelihoods]):
    """Whether a model would have written a continuation itself, and how likely it finds it.

    `accuracy` is the share of examples in which each token of the continuation is the likeliest one; `perplexity` is that of a
    whole continuation, not of a token: both as lm-eval's lambada_openai counts them.
    """

    prompt: str = "{context}"
    """A template of what is given."""
    answer: str = "{continuation}"
    """A template of what follows."""
    between: str = " "
    """What stands between them."""

    def examples(self, held_out: HeldOut) -> Iterator[Question]:  # noqa: ARG002 - it has its own
        for row, before in self.prompted():
            yield Question((Pair(before + filled(self.prompt, row), self.continuation(row)),), right=0)

    def shown(self, row: Row) -> str:
        return filled(self.prompt, row) + self.continuation(row)

    def continuation(self, row: Row) -> str:
        """What follows; raises RequestError where that is nothing."""
        answer = filled(self.answer, row)
        if not answer:
            raise RequestError(f"{row.origin} has nothing to follow: name a column in answer, such as answer={{continuation}}")
        return self.between + answer

    def score(self, example: Question, answer: Likelihoods) -> Mapping[str, float]:  # noqa: ARG002 - the answer says it all
        return {"accuracy": float(answer.greedy[0]), "nats": -answer.logs[0], "truncated": float(answer.truncated > 0)}

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:  # noqa: ARG002 - they are the same always
        return {"accuracy": Ratio("accuracy"), "loss": Ratio("nats")}

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:
        found = super().metrics(totals, count, held_out)
        return {**found, "perplexity": math.exp(found["loss"]), "truncated": int(totals["truncated"])}
