"""A ladder of small runs of one recipe, the law that their held-out losses follow, and what a larger run would come to."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
from collections.abc import Mapping
from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.comparison import aligned
from jobs.history.prospect import as_it_was
from jobs.laddering import Laddering, LadderPlan, check_recipe
from jobs.launch import carry_out, check_workers, outcome_result, planned, show_plan
from jobs.recipe import PretrainRecipe
from jobs.sweep import ahead, check_at_once
from pipeline.evaluate.ladder import Ladder
from pipeline.report.ladder import write_ladder
from pipeline.report.words import compact
from pipeline.storage import Store, open_store
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact


def ladder(invocation: Invocation[PretrainRecipe]) -> Result:
    """Train what runs are not there yet, fit the law and foretell the target."""
    options, asked = invocation.options, invocation.more
    check_workers(invocation.recipe.compute.workers, options)
    asked.check()
    check_at_once(asked.at_once)
    check_recipe(invocation.recipe)
    store = open_store(options.root)
    prospect = as_it_was(invocation.recipe, store)
    rungs = LadderPlan(prospect.recipe, asked)
    waves = list(rungs.waves())
    targets: list[Step[Any]] = [*(run for wave in waves for run in wave), rungs.fit]
    if options.plan:
        return planned(targets, options)
    built = ahead("ladder", [rungs.recipe.tokens], waves, options, asked.at_once) if asked.at_once > 1 else []
    outcome = carry_out("ladder", targets, options)
    assert outcome is not None
    prospect.record(store, "ladder")
    fitted = open_artifact(store, rungs.fit)
    foretold = _foretold(rungs, fitted, store)
    return {
        "built": [*built, *outcome.built],
        "skipped": [address for address in outcome_result(outcome)["skipped"] if address not in built],
        "ladder": rungs.fit.address,
        **{name: fitted.facts[name] for name in ("points", "law", "optimal", "frontier", "spread")},
        **({"target": foretold} if foretold else {}),
        "report": write_ladder(fitted, foretold, store, f"reports/{rungs.fit.address.replace('/', '-')}.html"),
    }


def _foretold(rungs: LadderPlan, fitted: Ladder, store: Store) -> dict[str, Any] | None:
    """The target's loss, as far as the law knows."""
    if rungs.target is None or rungs.asked.target_tokens is None:
        return None
    tokens = rungs.asked.target_tokens
    run = rungs.fit.rungs[0].checkpoint
    config = json.loads((open_artifact(store, run).folder("model") / "config.json").read_text())
    vocabulary = config["vocab_size"]
    parameters = rungs.target.parameter_count(vocabulary, run.context)
    return {
        "model": rungs.asked.target,
        "parameters": parameters,
        "tokens": tokens,
        "flops": tokens * rungs.target.flops_for(run.objective, vocabulary, run.context),
        **fitted.foretell(parameters, tokens)._asdict(),
    }


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return show_plan(result)
    rows = [["parameters", "tokens", "FLOPs", "loss", "95 %", "the law's"]]
    for point in result["points"]:
        between = f"{point['low']:.4f} to {point['high']:.4f}"
        counted = (compact(point["parameters"]), compact(point["tokens"]), f"{point['flops']:.2e}")
        rows.append([*counted, f"{point['loss']:.4f}", between, f"{point['fitted']:.4f}"])
    lines = [*aligned(rows), "", *_law_lines(result)]
    if "target" in result:
        target = result["target"]
        lines += ["", f"{target['model']}, {compact(target['parameters'])} parameters, on {compact(target['tokens'])} tokens:"]
        lines += [f"  loss {target['loss']:.4f}, a run's between {target['low']:.4f} and {target['high']:.4f}"]
    return "\n".join([*lines, f"report: {result['report']}"])


def _law_lines(result: Result) -> list[str]:
    law, optimal = result["law"], result["optimal"]
    lines = ["loss = E + A / parameters^α + B / tokens^β"]
    lines += [f"  {words} {_sure(law, name)}" for words, name in (("E", "E"), ("α", "alpha"), ("β", "beta"))]
    lines += [f"with more compute C, {name} grow as C^{_sure(optimal, name)}" for name in ("parameters", "tokens")]
    if result["frontier"]:
        lines += [f"the loss of what no cheaper run beats falls as C^−{_sure(result['frontier'], 'exponent')}"]
    return lines


def _sure(facts: Mapping[str, Any], name: str) -> str:
    """A number with its 95 % interval."""
    return f"{facts[name]:.3g} ({facts[f'{name}_low']:.3g} to {facts[f'{name}_high']:.3g})"


if __name__ == "__main__":
    raise SystemExit(execute("ladder", PretrainRecipe, ladder, show, default="python_library", more=Laddering()))
