"""BLiMP: does a model find grammatical sentences likelier than ungrammatical ones that differ little (Warstadt and others, 2020)?"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pipeline.evaluate.base import HeldOut, Ratio
from pipeline.evaluate.continuations import ContinuationTask, Likelihoods, Pair, Question
from pipeline.evaluate.file_task import FileTask
from pipeline.evaluate.groups import group_ratios, grouped


@dataclass(frozen=True, kw_only=True)
class Blimp(ContinuationTask, FileTask[Question, Likelihoods]):
    """How often a grammatical sentence is likelier than the ungrammatical one of its pair.

    That is counted of all pairs, and of each paradigm. Both sentences stand at the beginning of a document, after a space as lm-eval
    has it. A folder with a file a paradigm is one task.
    """

    good: str = "sentence_good"
    """The column of the grammatical sentence."""
    bad: str = "sentence_bad"
    """The column of the other one."""
    by: str | None = "UID"
    """A column by whose values accuracy is counted too."""
    between: str = " "
    """What stands before a sentence."""

    def examples(self, held_out: HeldOut) -> Iterator[Question]:  # noqa: ARG002 - it has its own
        for row in self.rows():
            pairs = tuple(Pair("", self.between + row.text(column)) for column in (self.good, self.bad))
            yield Question(pairs, right=0, group=None if self.by is None else row.text(self.by))

    def score(self, example: Question, answer: Likelihoods) -> Mapping[str, float]:
        accuracy = float(answer.logs[0] > answer.logs[1])
        return {"accuracy": accuracy, **grouped("accuracy", accuracy, example.group)}

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:
        return {"accuracy": Ratio("accuracy"), **group_ratios("accuracy", scores)}
