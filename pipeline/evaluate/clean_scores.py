"""What a model scores on examples that it cannot have seen in training, beside those that it may have: from answers that are kept."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import RequestError
from pipeline.evaluate.answers import read_answers
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.contaminated import Contaminated, read_groups
from pipeline.evaluate.evaluate import Evaluate, measured
from pipeline.evaluate.file_task import FileTask
from pipeline.evaluate.scores import Scores
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

GROUPS = ("clean", "dirty", "too_short")


@dataclass(frozen=True, kw_only=True)
class CleanScores(Step[Artifact]):
    """The metrics of an evaluation anew, of the clean examples and of the contaminated ones of each task.

    Facts: `contamination`, {task: {"clean", "dirty", "too_short": {metric: value, "n": examples}}}, with confidence intervals as
    `Evaluate` has them; a group without examples has no metrics.
    """

    evaluation: Evaluate
    contamination: Contaminated

    def __post_init__(self) -> None:
        asked = {task.name: task for task in self.evaluation.tasks}
        strange = [task.name for task in self.contamination.tasks if asked.get(task.name) != task]
        if strange:
            raise RequestError(f"contamination has the task {strange[0]}, which evaluation does not ask: give both the same tasks")

    def run(self, context: Context) -> Facts:
        tasks = self.contamination.tasks
        receipts = context.map(self.divide, tasks)
        return {"contamination": {task.name: dict(receipt.facts) for task, receipt in zip(tasks, receipts, strict=True)}}

    def divide(self, unit: Unit, task: FileTask[Any, Any]) -> Facts:
        """One unit: a task, from its answers to the metrics of each group."""
        scores = {group: Scores() for group in GROUPS}
        groups = read_groups(unit.open(self.contamination), task.name)
        for kept, group in zip(read_answers(unit.open(self.evaluation), task.name), groups, strict=True):
            scores[group].add(kept.scores)
        return {group: {**(measured(task, own, NoDocuments()) if own.count else {}), "n": own.count} for group, own in scores.items()}
