"""Measures on this machine in which layout a recipe trains fastest: engine, ZeRO stage, workers, micro-batch, recomputation."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.comparison import aligned
from jobs.history.recorded import recorded
from jobs.launch import carry_out, check_workers, planned, show_plan
from jobs.recipe import PretrainRecipe
from jobs.tuning import Layout, Tuning, layouts
from pipeline.errors import RequestError, RunError
from pipeline.report.words import compact, size
from pipeline.storage import open_store
from pipeline.train.trial import Trial
from pipeline.workflow.unit import open_artifact


def tune(invocation: Invocation[PretrainRecipe]) -> Result:
    """Try each layout for a few steps; returns what each came to, and the fastest."""
    tuning, options = invocation.more, invocation.options
    tuning.check()
    tried = list(layouts(invocation.recipe, tuning))
    check_workers(max(layout.compute.workers for layout in tried), options, "the greatest of --gangs")
    trials = {layout: Trial.of(layout.training, tuning.steps, _machine()) for layout in tried if layout.training is not None}
    if not trials:
        raise RequestError(f"none of the layouts can be run; the first one: {tried[0].why}")
    if options.plan:
        return planned(list(trials.values()), options)
    built, found = list[str](), list[dict[str, Any]]()
    for layout in tried:
        outcome = _tried(layout, trials.get(layout), invocation)
        built += outcome.pop("built")
        found.append(outcome)
    if not (measured := [row for row in found if "tokens_per_second" in row]):
        raise RunError(f"none of the layouts could be run; the first one: {found[0]['why']}")
    best = max(measured, key=lambda row: row["tokens_per_second"])
    chosen = next(layout for layout in tried if layout.words == best["options"])
    return {"built": built, "skipped": [], "trials": found, "best": best, "recipe": _written(invocation, chosen)}


def _tried(layout: Layout, trial: Trial | None, invocation: Invocation[PretrainRecipe]) -> dict[str, Any]:
    """What a trial came to; one that fails, for want of memory as a rule, says why, and does not keep others from being tried."""
    row: dict[str, Any] = {"options": layout.words, "built": []}
    if trial is None:
        return {**row, "why": layout.why}
    try:
        outcome = carry_out("tune", [trial], invocation.options)
    except (RunError, RuntimeError, MemoryError) as problem:
        return {**row, "why": str(problem).splitlines()[0]}
    assert outcome is not None
    facts = open_artifact(open_store(invocation.options.root), trial).facts
    return {**row, "built": outcome.built, **{name: facts[name] for name in ("tokens_per_second", "peak_bytes")}}


def _machine() -> str:
    return f"{platform.node()} {platform.machine()}"


def _written(invocation: Invocation[PretrainRecipe], layout: Layout) -> str | None:
    """Where the recipe with that layout is written to, if anywhere."""
    if invocation.more.write is None:
        return None
    form = recorded(replace(invocation.recipe, compute=layout.compute))
    Path(invocation.more.write).write_text(json.dumps(form, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return str(invocation.more.write)


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return show_plan(result)
    fastest_first = sorted(result["trials"], key=lambda row: -row.get("tokens_per_second", 0.0))
    lines = aligned([["layout", "tokens/s", "memory"], *map(_row, fastest_first)])
    lines.append(f"fastest: {result['best']['options']}")
    if result["recipe"]:
        lines.append(f"recipe:  {result['recipe']}, as in `python jobs/pretrain.py {result['recipe']}`")
    return "\n".join(lines)


def _row(row: Mapping[str, Any]) -> Sequence[str]:
    if "why" in row:
        return [f"{row['options']}: {row['why']}"]
    memory = row["peak_bytes"]
    return [row["options"], compact(row["tokens_per_second"]), "" if memory is None else size(memory)]


if __name__ == "__main__":
    raise SystemExit(execute("tune", PretrainRecipe, tune, show, default="python_library", more=Tuning()))
