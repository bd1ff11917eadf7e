"""A checkpoint onto a task: labelled examples in, a model for the task out, with its scores on examples that it never saw."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.finetuning import FinetuneRecipe, check_request
from jobs.launch import carry_out, outcome_result, planned, report_page, show_plan
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.unit import open_artifact


def finetune(invocation: Invocation[FinetuneRecipe]) -> Result:
    """Train the model, and everything before it."""
    recipe, options = invocation.recipe, invocation.options
    if options.cluster == "none" and recipe.compute.workers > 1:
        raise RequestError(f"--cluster none is one process, and --compute.workers is {recipe.compute.workers}: use --cluster local, or 1")
    store = open_store(options.root)
    target = recipe.target(store)
    if read_manifest(store, target.address) is None:
        check_request(target, store)
    outcome = carry_out("finetune", (target,), options)
    if outcome is None:
        return planned((target,), options)
    facts = outcome.manifests[target.address].facts
    read = outcome.manifests[target.train.address].facts
    told = ("steps", "best_step", "tokens_per_second", "loss", "parameters", "trained_parameters", "labels", "validation", "test")
    return {
        **outcome_result(outcome),
        "examples": {name: read[name] for name in ("read", "kept", "dropped")},
        "artifact": target.address,
        "checkpoint": str(open_artifact(store, target).folder("model")),
        **{name: facts[name] for name in told if name in facts},
        "report": report_page((target,), options),
    }


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return show_plan(result)
    examples = result["examples"]
    dropped = "".join(f", {count:,} left out: {reason}" for reason, count in examples["dropped"].items())
    lines = [f"read {examples['read']:,} examples, kept {examples['kept']:,}{dropped}"]
    lines += [f"best of {result['steps']:,} steps: step {result['best_step']:,}"]
    lines += [f"{name}: {_scores(result[name])}" for name in ("validation", "test") if name in result]
    return "\n".join([*lines, f"model:  {result['checkpoint']}", f"report: {result['report']}"])


def _scores(scores: dict[str, Any]) -> str:
    """Each metric with its interval."""
    shown = [
        f"{name} {value:.4f} ({scores[f'{name}_low']:.4f} to {scores[f'{name}_high']:.4f})"
        for name, value in scores.items()
        if f"{name}_low" in scores
    ]
    return f"{', '.join(shown)} on {scores['n']:,} examples"


if __name__ == "__main__":
    raise SystemExit(execute("finetune", FinetuneRecipe, finetune, show, default="classification"))
