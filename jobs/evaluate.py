"""Checkpoints on tasks: by default, on the documents that were held out when each was trained."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jobs.checkpoints import checkpoint_manifest, checkpoint_step, folder_of
from jobs.command import Invocation, Result, execute
from jobs.comparison import compared, comparison_page, show_comparison, show_contamination, show_scores
from jobs.history.taught import taught
from jobs.launch import carry_out, outcome_result, planned, show_plan
from jobs.recipe import CorpusRecipe
from jobs.tasks import Task, tasks_help
from pipeline.errors import RequestError
from pipeline.evaluate.clean_scores import CleanScores
from pipeline.evaluate.contaminated import Contaminated, with_files
from pipeline.evaluate.evaluate import Evaluate, require_fit
from pipeline.evaluate.harness import Harness
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.restoration import Restoration
from pipeline.inference.opening import gaps_of
from pipeline.objectives.base import Objective
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.objectives.next_token import NextToken
from pipeline.objectives.recorded import objective_of
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.step import Reference, Step


@dataclass(frozen=True, kw_only=True)
class EvaluateRecipe:
    """Checkpoints on tasks."""

    checkpoint: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--checkpoints",))] = ()
    """pretrain/FINGERPRINT, finetune/FINGERPRINT, or a folder with config.json and safetensors; none: the newest pretrained one.
    Several are compared, example by example."""
    tasks: Annotated[tuple[Task, ...], tyro.conf.arg(help=tasks_help())] = (Perplexity(),)
    """Unless others are named, a model that was trained to fill gaps is asked for that instead."""
    sources: tuple[str, ...] = ()
    """Text to score; none: the documents that were held out when the checkpoint was trained."""
    contamination: bool = False
    """Look for the tasks' examples in what each checkpoint was trained on, and score those that are there apart from the others."""

    harness: tuple[str, ...] = ()
    """Tasks of lm-eval, by its names; they are run by it, where it is installed."""
    harness_folder: str | None = None
    """A folder with tasks of your own for lm-eval, as YAML files; these may name code of yours, which is run."""

    def by_harness(self, store: Store) -> tuple[Harness, ...]:
        """The steps that score by lm-eval, one a checkpoint; raises RequestError."""
        if not self.harness:
            return ()
        return tuple(Harness.at(checkpoint, self.harness, self.harness_folder) for checkpoint in self._chosen(store))

    def targets(self, store: Store) -> tuple[Evaluate, ...]:
        """The steps that score, one a checkpoint; none where tasks of lm-eval alone are named. Raises RequestError."""
        if self.harness and self.tasks == (Perplexity(),):
            return ()
        chosen = self._chosen(store)
        if len({checkpoint.address for checkpoint in chosen}) < len(chosen):
            raise RequestError(f"--checkpoint names one twice among {', '.join(self.checkpoint)}: name each once")
        return tuple(self._evaluation(checkpoint, store) for checkpoint in chosen)

    def _chosen(self, store: Store) -> list[Step[Checkpoint]]:
        return [checkpoint_step(name, store) for name in self.checkpoint or (None,)]

    def divided(self, evaluation: Evaluate, store: Store) -> CleanScores:
        """The step that tells the scores of clean examples from those of others; raises RequestError."""
        tasks = with_files(evaluation.tasks)
        if not tasks:
            names = ", ".join(task.name for task in evaluation.tasks)
            raise RequestError(f"--contamination looks for examples that stand in files, and {names} has none: name others by --tasks")
        if isinstance(evaluation.checkpoint, ForeignCheckpoint):
            raise RequestError(
                f"--contamination looks through what a model was trained on, and of {evaluation.checkpoint.location} that is unknown:"
                " name checkpoints that were trained here"
            )
        corpora = taught(checkpoint_manifest(evaluation.checkpoint.address, store), store)
        return CleanScores(evaluation=evaluation, contamination=Contaminated(tasks=tasks, taught=corpora))

    def _evaluation(self, checkpoint: Step[Checkpoint], store: Store) -> Evaluate:
        objective = _objective(checkpoint, store)
        usual = self.tasks == (Perplexity(),) and not isinstance(objective, NextToken)
        tasks = (Restoration(objective=objective),) if usual else self.tasks
        require_fit(tasks, objective)
        needy = any(task.needs_held_out for task in tasks)
        if self.sources and not needy:
            raise RequestError(f"--sources names text to score, and {tasks[0].name} has examples of its own: add perplexity to --tasks")
        return Evaluate(checkpoint=checkpoint, tokens=self._tokens(checkpoint, store) if needy else None, tasks=tasks)

    def _tokens(self, checkpoint: Step[Checkpoint], store: Store) -> Step[TokenShards] | None:
        if self.sources:
            tokenizer = str(folder_of(checkpoint, store))
            return CorpusRecipe(sources=self.sources, similarity=None, tokenizer=tokenizer, validation=1.0).tokens
        inputs = {} if isinstance(checkpoint, ForeignCheckpoint) else checkpoint_manifest(checkpoint.address, store).inputs
        trained_on = next((named["address"] for path, named in inputs.items() if path.startswith("mixture")), None)
        if trained_on is None:
            return None
        if read_manifest(store, trained_on) is None:
            raise RequestError(
                f"{trained_on}, which {checkpoint.address} was trained on, is no longer there, nor what it held out:"
                " name text to score by --sources"
            )
        return Reference(of=trained_on, opens=TokenShards)


def _objective(checkpoint: Step[Checkpoint], store: Store) -> Objective:
    """What a checkpoint was trained to do."""
    if not isinstance(checkpoint, ForeignCheckpoint):
        return objective_of(checkpoint_manifest(checkpoint.address, store).recipe)
    match gaps_of(checkpoint.folder):
        case "masks":
            return MaskedTokens()
        case "spans":
            return CorruptedSpans()
    return NextToken()


def evaluate(invocation: Invocation[EvaluateRecipe]) -> Result:
    """Score checkpoints."""
    store = open_store(invocation.options.root)
    targets = invocation.recipe.targets(store)
    divided = [invocation.recipe.divided(target, store) for target in targets] if invocation.recipe.contamination else []
    harness = invocation.recipe.by_harness(store)
    outcome = carry_out("evaluate", [*targets, *divided, *harness], invocation.options)
    if outcome is None:
        return planned([*targets, *divided, *harness], invocation.options)
    scores = defaultdict[str, dict[str, Any]](dict)
    scorers: tuple[Evaluate | Harness, ...] = (*targets, *harness)
    for step in scorers:
        scores[step.checkpoint.address] |= outcome.manifests[step.address].facts["scores"]
    first = next(iter(scores))
    result = {**outcome_result(outcome), "checkpoint": first, "scores": scores[first]}
    if divided:
        found = dict(zip(scores, (outcome.manifests[step.address].facts["contamination"] for step in divided), strict=True))
        result |= {"contamination": found[first]} | ({} if len(targets) == 1 else {"contaminations": found})
    if len(targets) < 2:
        return result if len(scores) == 1 else {**result, "checkpoints": dict(scores), "differences": []}
    differences = compared(targets, store)
    report = comparison_page(targets, scores, differences, store)
    return {**result, "checkpoints": dict(scores), "differences": differences, "report": report}


def show(result: Result) -> str:
    """The scores, a line a metric."""
    if "plan" in result:
        return show_plan(result)
    if "checkpoints" in result:
        lines = show_comparison(result["checkpoints"], result["differences"])
    else:
        lines = [result["checkpoint"], *show_scores(result["scores"])]
    one = {result["checkpoint"]: result["contamination"]} if "contamination" in result else {}
    for checkpoint, contamination in result.get("contaminations", one).items():
        lines += ["", f"by what {checkpoint} was trained on", *show_contamination(contamination)]
    return "\n".join([*lines, "", result["report"]] if "report" in result else lines)


if __name__ == "__main__":
    raise SystemExit(execute("evaluate", EvaluateRecipe, evaluate, show))
