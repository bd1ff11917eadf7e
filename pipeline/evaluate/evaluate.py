"""A checkpoint on tasks: one unit of work a task."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.errors import RequestError, RunError
from pipeline.evaluate.answers import Kept, write_answers
from pipeline.evaluate.base import A, EvalTask, HeldOut, NoDocuments, Q
from pipeline.evaluate.scores import Scores
from pipeline.objectives.base import Objective
from pipeline.tokens.shards import TRAIN, VALIDATION, TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TOKENIZER, TokenizerFiles
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Reference, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step[Artifact]):
    """Score a checkpoint, and keep what was asked and answered (`answers/`).

    Facts: `scores`, {task: {metric: value, "n": examples}}; a metric that is a mean or another ratio of totals has a confidence
    interval of 95 % beside it, as METRIC_low and METRIC_high.
    """

    version: ClassVar[int] = 2

    checkpoint: Step[Checkpoint]
    tasks: tuple[EvalTask[Any, Any], ...]
    tokens: Step[TokenShards] | None = None
    """Whose held-out documents tasks may ask about; None: there are none."""

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names:
            raise RequestError("tasks is empty: name at least one, such as Perplexity()")
        if len(set(names)) < len(names):
            raise RequestError(f"tasks has two of the same name among {', '.join(names)}: name each once")
        if isinstance(self.checkpoint, Pretrain):
            require_fit(self.tasks, self.checkpoint.objective)
        needy = [task.name for task in self.tasks if task.needs_held_out]
        if needy and self.tokens is None:
            raise RequestError(f"{needy[0]} asks about held-out documents, and there are none: name text to score by --sources")
        if needy and isinstance(self.tokens, Tokenize) and self.tokens.split.fraction == 0:
            raise RequestError(f"split.fraction is 0, and {needy[0]} asks about held-out documents: hold out a fraction, such as 0.01")

    def check(self) -> None:
        for task in self.tasks:
            task.check()

    def check_input(self, needed: Step[Any], facts: Facts) -> None:
        needy = [task.name for task in self.tasks if task.needs_held_out]
        if needy and self.tokens is not None and needed.address == self.tokens.address and not facts["documents"][VALIDATION]:
            raise RequestError(
                f"{needy[0]} asks about held-out documents, and of the {facts['documents'][TRAIN]} documents of {needed.address} none is"
                " held out: hold out a larger share of them (--validation 0.2), or the end of each (--held-out ends)"
            )

    def run(self, context: Context) -> Facts:
        receipts = context.map(self.examine, self.tasks)
        return {"scores": {task.name: dict(receipt.facts) for task, receipt in zip(self.tasks, receipts, strict=True)}}

    def examine(self, unit: Unit, task: EvalTask[Any, Any]) -> Facts:
        """One unit: a task from its first example to its metrics."""
        subject = task.subject(unit.open(self.checkpoint).model)
        held_out = NoDocuments() if self.tokens is None else HeldOutDocuments(unit, unit.open(self.tokens))
        scores = Scores()
        write_answers(unit, task.name, scored(task, subject.answers(task.examples(held_out)), scores))
        if not scores.count:
            raise RunError(f"{task.name} has no examples: look whether its file holds records that it can ask about")
        return {**measured(task, scores, held_out), "n": scores.count}


def require_fit(tasks: Sequence[EvalTask[Any, Any]], objective: Objective) -> None:
    """Raise RequestError where a task cannot be asked of a model that was trained with an objective."""
    unfit = [task.name for task in tasks if not task.fits(objective)]
    if unfit:
        raise RequestError(
            f"tasks has {unfit[0]}, which cannot be asked of a model that was trained with {type(objective).__name__}:"
            " use one that can, such as Perplexity() for NextToken() and Restoration(objective=…) for others"
        )


def scored(task: EvalTask[Q, A], answers: Iterable[tuple[Q, A]], scores: Scores) -> Iterator[Kept]:
    """Every answer with what it is worth, which is added to the scores."""
    for example, answer in answers:
        worth = task.score(example, answer)
        scores.add(worth)
        yield Kept(task.record(example, answer), worth)


def measured(task: EvalTask[Any, Any], scores: Scores, held_out: HeldOut) -> dict[str, float]:
    """The metrics of a task, those that are ratios with their confidence intervals."""
    metrics = task.metrics(scores.totals, scores.count, held_out)
    bounds = scores.intervals(task.ratios(scores.totals))
    found = dict[str, float]()
    for name, value in metrics.items():
        found[name] = value
        if name in bounds:
            found[f"{name}_low"], found[f"{name}_high"] = bounds[name]
    return found


@dataclass(frozen=True)
class HeldOutDocuments:
    """The held-out documents of a corpus, as text again."""

    unit: Unit
    tokens: TokenShards

    def texts(self) -> Iterator[str]:
        from tokenizers import Tokenizer

        made_by: Reference[Any] = Reference(of=self.tokens.manifest.inputs["tokenizer"]["address"], opens=TokenizerFiles)
        tokenizer = Tokenizer.from_file(str(self.unit.open(made_by).path / TOKENIZER))
        for batch in self.tokens.batches(VALIDATION):
            for ids in batch.column("tokens"):
                yield tokenizer.decode(ids.values.to_pylist(), skip_special_tokens=False)
