"""A checkpoint on tasks: by default, on the documents that were held out when it was trained."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import dataclass

from jobs.checkpoints import checkpoint_manifest, checkpoint_step
from jobs.command import Invocation, Result, execute
from jobs.launch import carry_out, outcome_result, planned, show_plan
from jobs.recipe import CorpusRecipe
from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.restoration import Restoration
from pipeline.objectives.next_token import NextToken
from pipeline.objectives.recorded import objective_of
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.step import Reference, Step
from pipeline.workflow.unit import open_artifact


@dataclass(frozen=True, kw_only=True)
class EvaluateRecipe:
    """A checkpoint on tasks."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT; None: the newest in the root."""
    tasks: tuple[EvalTask, ...] = (Perplexity(),)
    """Unless others are named, a model that was trained to fill gaps is asked for that instead."""
    sources: tuple[str, ...] = ()
    """Text to score; none: the documents that were held out when the checkpoint was trained."""

    def target(self, store: Store) -> Evaluate:
        """The step that scores."""
        checkpoint = checkpoint_step(self.checkpoint, store)
        return Evaluate(checkpoint=checkpoint, tokens=self._tokens(checkpoint, store), tasks=self._tasks(checkpoint, store))

    def _tasks(self, checkpoint: Step[Checkpoint], store: Store) -> tuple[EvalTask, ...]:
        objective = objective_of(checkpoint_manifest(checkpoint.address, store).recipe)
        usual = self.tasks == (Perplexity(),)
        return (Restoration(objective=objective),) if usual and not isinstance(objective, NextToken) else self.tasks

    def _tokens(self, checkpoint: Step[Checkpoint], store: Store) -> Step[TokenShards]:
        if self.sources:
            tokenizer = str(open_artifact(store, checkpoint).folder("model"))
            return CorpusRecipe(sources=self.sources, similarity=None, tokenizer=tokenizer, validation=1.0).tokens
        inputs = checkpoint_manifest(checkpoint.address, store).inputs
        trained_on = next(named["address"] for path, named in inputs.items() if path.startswith("mixture"))
        if read_manifest(store, trained_on) is None:
            raise RequestError(
                f"{trained_on}, which {checkpoint.address} was trained on, is no longer there, nor what it held out:"
                " name text to score by --sources"
            )
        return Reference(of=trained_on, opens=TokenShards)


def evaluate(invocation: Invocation[EvaluateRecipe]) -> Result:
    """Score a checkpoint."""
    target = invocation.recipe.target(open_store(invocation.options.root))
    outcome = carry_out("evaluate", (target,), invocation.options)
    if outcome is None:
        return planned((target,), invocation.options)
    scores = outcome.manifests[target.address].facts["scores"]
    return {**outcome_result(outcome), "checkpoint": target.checkpoint.address, "scores": scores}


def show(result: Result) -> str:
    """The scores, a line a task."""
    if "plan" in result:
        return show_plan(result)
    lines = [f"{task}: " + ", ".join(f"{name} {value:.6g}" for name, value in scores.items()) for task, scores in result["scores"].items()]
    return "\n".join([result["checkpoint"], *lines])


if __name__ == "__main__":
    raise SystemExit(execute("evaluate", EvaluateRecipe, evaluate, show))
