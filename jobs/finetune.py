"""A checkpoint onto a task: labelled examples in, a model for the task out, with its scores on examples that it never saw."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.estimating import check_priced, machine_of
from jobs.finetuning import FinetuneRecipe, check_request
from jobs.grid import combinations, with_settings
from jobs.launch import carry_out, check_workers, planned, report_page, show_cost, show_plan
from jobs.sweep import ahead, check_at_once
from pipeline.finetune.finetune import Finetune
from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import Manifest, read_manifest
from pipeline.workflow.unit import open_artifact


@dataclass(frozen=True, kw_only=True)
class Searching:
    """What is tried."""

    grid: tuple[str, ...] = ()
    """NAME=VALUE,VALUE …: train with every combination of these settings, and keep what scores best on the validation examples."""
    at_once: int = 1
    """Models of a grid that are trained at a time, each in a process of its own; they give way to other work on a cluster."""


def finetune(invocation: Invocation[FinetuneRecipe]) -> Result:
    """Train the model, and everything before it; of a grid, every model."""
    recipe, options = invocation.recipe, invocation.options
    check_workers(recipe.compute.workers, options)
    check_at_once(invocation.more.at_once)
    store = open_store(options.root)
    grid = combinations(invocation.more.grid)
    targets = [with_settings(recipe, settings).target(store) for settings in grid]
    check_priced(recipe.compute.price_list, machine_of(options.cluster))
    for target in targets:
        if read_manifest(store, target.address) is None:
            check_request(target, store)
    if options.plan:
        return planned(targets, options)
    shared = [step for target in targets for step in target.inputs.values()]
    built = ahead("finetune", shared, [targets], options, at_once) if (at_once := invocation.more.at_once) > 1 else []
    outcome = carry_out("finetune", targets, options)
    assert outcome is not None
    facts = [outcome.manifests[target.address].facts for target in targets]
    best = max(range(len(targets)), key=lambda place: facts[place]["validation"][recipe.task.watched])
    found = {
        "built": [*built, *outcome.built],
        "skipped": [address for address in outcome.skipped if address not in built],
        **_result(targets[best], outcome.manifests, store),
        "report": report_page((targets[best],), options),
    }
    if len(targets) > 1:
        tried = zip(grid, targets, facts, strict=True)
        found["grid"] = [{**settings, "artifact": step.address, "validation": fact["validation"]} for settings, step, fact in tried]
    return found


def _result(target: Finetune, manifests: Mapping[str, Manifest], store: Store) -> dict[str, Any]:
    """What the contract says of a fine-tuned model."""
    facts, read, shown = (manifests[step.address].facts for step in (target, target.train, target.windows))
    told = ("steps", "best_step", "tokens_per_second", "loss", "parameters", "trained_parameters", "labels")
    return {
        "examples": {
            "read": read["read"],
            "kept": shown["kept"],
            "dropped": {**read["dropped"], **shown["dropped"]},
            "truncated": shown["truncated"],
        },
        "artifact": target.address,
        "checkpoint": str(open_artifact(store, target).folder("model")),
        **{name: facts[name] for name in (*told, "validation", "test", "economy") if name in facts},
    }


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return show_plan(result)
    examples = result["examples"]
    dropped = "".join(f", {count:,} left out: {reason}" for reason, count in examples["dropped"].items())
    truncated = f"; {examples['truncated']:,} cut, as they do not fit" if examples["truncated"] else ""
    lines = [f"read {examples['read']:,} examples, train on {examples['kept']:,}{dropped}{truncated}"]
    lines += [f"{_settings(tried)}: {_scores(tried['validation'])}" for tried in result.get("grid", ())]
    lines += [f"best of {result['steps']:,} steps: step {result['best_step']:,}"]
    lines += [f"{name}: {_scores(result[name])}" for name in ("validation", "test") if name in result]
    lines += show_cost(result)
    return "\n".join([*lines, f"model:  {result['checkpoint']}", f"report: {result['report']}"])


def _settings(tried: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in tried.items() if name not in ("artifact", "validation"))


def _scores(scores: Mapping[str, Any]) -> str:
    """Each metric with its interval."""
    shown = [
        f"{name} {value:.4f} ({scores[f'{name}_low']:.4f} to {scores[f'{name}_high']:.4f})"
        for name, value in scores.items()
        if f"{name}_low" in scores
    ]
    return f"{', '.join(shown)} on {scores['n']:,} examples"


if __name__ == "__main__":
    raise SystemExit(execute("finetune", FinetuneRecipe, finetune, show, default="classification", more=Searching()))
