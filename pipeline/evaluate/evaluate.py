"""A checkpoint on tasks: one unit of work a task."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RequestError, RunError
from pipeline.evaluate.base import EvalTask
from pipeline.tokens.shards import VALIDATION, TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TOKENIZER, TokenizerFiles
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Reference, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step[Artifact]):
    """Score a checkpoint. Facts: `scores`, {task: {metric: value, "n": examples}}."""

    checkpoint: Step[Checkpoint]
    tasks: tuple[EvalTask, ...]
    tokens: Step[TokenShards]
    """Whose held-out documents tasks may ask about."""

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names:
            raise RequestError("tasks is empty: name at least one, such as Perplexity()")
        if len(set(names)) < len(names):
            raise RequestError(f"tasks has two of the same name among {', '.join(names)}: name each once")
        if isinstance(self.checkpoint, Pretrain):
            objective = self.checkpoint.objective
            unfit = [task.name for task in self.tasks if not task.fits(objective)]
            if unfit:
                raise RequestError(
                    f"tasks has {unfit[0]}, which cannot be asked of a model that was trained with {type(objective).__name__}:"
                    " use one that can, such as Perplexity() for NextToken() and Restoration(objective=…) for others"
                )
        needy = [task.name for task in self.tasks if task.needs_held_out]
        if needy and isinstance(self.tokens, Tokenize) and self.tokens.split.fraction == 0:
            raise RequestError(f"split.fraction is 0, and {needy[0]} asks about held-out documents: hold out a fraction, such as 0.01")

    def run(self, context: Context) -> Facts:
        receipts = context.map(self.examine, self.tasks)
        return {"scores": {task.name: dict(receipt.facts) for task, receipt in zip(self.tasks, receipts, strict=True)}}

    def examine(self, unit: Unit, task: EvalTask) -> Facts:
        """One unit: a task from its first example to its metrics."""
        subject = task.subject(unit.open(self.checkpoint).model)
        held_out = HeldOutDocuments(unit, unit.open(self.tokens))
        totals, count = Counter[str](), 0
        for example, answer in subject.answers(task.examples(held_out)):
            totals.update(task.score(example, answer))
            count += 1
        if not count:
            raise RunError(f"{task.name} has no examples in {held_out.tokens.address}: hold out a larger share of the documents")
        return {**task.metrics(totals, count, held_out), "n": count}


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
