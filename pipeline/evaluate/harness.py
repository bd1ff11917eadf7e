"""The tasks of the Language Model Evaluation Harness, by itself: data sets, prompts and metrics are lm-eval's, the checkpoint is ours."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError, RunError
from pipeline.inference.opening import open_model, open_tokenizer
from pipeline.storage import checksum_of
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

SURE = 1.959963984540054
"""Standard errors on either side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Harness(Step[Artifact]):
    """Tasks of lm-eval; made by `Harness.at`. Its identity holds lm-eval's version, and the digest of a folder of own tasks.

    The data sets are those that lm-eval fetches: which versions of its tasks they were is among the facts, and no part of the identity.

    Facts: `scores`, {harness/TASK: {metric: value, metric_low, metric_high (by lm-eval's standard error), "n": examples}}, `versions`.
    """

    checkpoint: Step[Checkpoint]
    tasks: tuple[str, ...]
    shots: int | None = None
    """Examples before a question; None: as each task has it."""
    limit: int | None = None
    """Greatest number of examples of a task."""
    harness: str
    """lm-eval's version."""
    digest: str | None = None
    """Of the folder of own tasks."""
    folder: str | None = field(default=None, metadata={"identity": False})

    @classmethod
    def at(cls, checkpoint: Step[Checkpoint], tasks: tuple[str, ...], folder: str | None = None, **settings: Any) -> "Harness":
        """Tasks by lm-eval's names, and by those of YAML files in a folder; raises RequestError where lm-eval or a task is not there."""
        try:
            harness = version("lm_eval")
        except PackageNotFoundError:
            raise RequestError("--harness needs lm-eval, which is not installed: pip install -e '.[harness]'") from None
        if folder is not None and not list(Path(folder).glob("*.yaml")):
            raise RequestError(f"--harness-folder {folder!r} holds no task of lm-eval: name a folder with .yaml files")
        digest = None if folder is None else checksum_of("".join(map(checksum_of, sorted(Path(folder).glob("*.yaml")))).encode())
        step = cls(checkpoint=checkpoint, tasks=tasks, harness=harness, digest=digest, folder=folder, **settings)
        known = step._manager().all_tasks
        if unknown := [name for name in tasks if name not in known]:
            raise RequestError(f"--harness: lm-eval {harness} has no task {unknown[0]!r}: python -m lm_eval ls tasks lists those it has")
        return step

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.examine, (self.tasks,))
        return receipt.facts

    def examine(self, unit: Unit, tasks: tuple[str, ...]) -> Facts:
        """One unit: all tasks, since opening a model costs more than most of them."""
        from lm_eval.evaluator import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        folder = unit.open(self.checkpoint).model
        asked = HFLM(pretrained=open_model(folder), tokenizer=open_tokenizer(folder), batch_size=8)
        try:
            found = simple_evaluate(
                model=asked, tasks=list(tasks), num_fewshot=self.shots, limit=self.limit, task_manager=self._manager(), log_samples=False
            )
        except (OSError, ConnectionError, ValueError) as problem:
            reason = " ".join(str(problem).split())[:200]
            raise RunError(
                f"lm-eval could not run {', '.join(tasks)} ({reason}): check the network, or name others by --harness"
            ) from problem
        assert found is not None, "this is the only process that evaluates"
        counts = {name: samples["effective"] for name, samples in found["n-samples"].items()}
        scores = {f"harness/{name}": {**measured(found["results"][name]), "n": count} for name, count in counts.items()}
        return {"scores": scores, "versions": {name: str(number) for name, number in found["versions"].items()}}

    def _manager(self) -> Any:
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=self.folder)


def measured(results: Mapping[str, Any]) -> dict[str, float]:
    """lm-eval's `METRIC,FILTER` and `METRIC_stderr,FILTER` as metrics with intervals; the filter is named unless it is none."""
    found = dict[str, float]()
    for key, value in results.items():
        metric, _, kept_by = key.partition(",")
        if not isinstance(value, int | float) or metric.endswith("_stderr") or not math.isfinite(value):
            continue
        name = metric if kept_by in ("", "none") else f"{metric}_{kept_by}".replace("-", "_")
        found[name] = float(value)
        error = results.get(f"{metric}_stderr,{kept_by}")
        if isinstance(error, int | float) and math.isfinite(error):
            found |= {f"{name}_low": value - SURE * error, f"{name}_high": value + SURE * error}
    return found
