"""All of `corpus`, then pretraining, then validation on documents it never saw, a sample and a report page."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Mapping
from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.estimating import Forecast, Planning, show_estimate
from jobs.history.prospect import Prospect, as_it_was
from jobs.history.states import State, folder_of, ingests_of, latest, tokenizer_of
from jobs.history.tombstones import read_tombstones
from jobs.launch import carry_out, check_workers, corpus_result, outcome_result, planned, report_page, show_corpus, show_cost, show_plan
from jobs.recipe import PretrainRecipe
from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.run import Outcome
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import open_artifact


def pretrain(invocation: Invocation[PretrainRecipe]) -> Result:
    """Build the model and everything before and after it."""
    check_workers(invocation.recipe.compute.workers, invocation.options)
    store = open_store(invocation.options.root)
    prospect = _on_states(invocation.recipe, store) if invocation.recipe.states else as_it_was(invocation.recipe, store)
    recipe = prospect.recipe
    targets = (*invocation.more.budgets(recipe.documents), *recipe.targets)
    forecast = Forecast.of(recipe, store, invocation.more.machine(invocation.options.cluster))
    if invocation.options.plan:
        return {**planned(targets, invocation.options), "estimate": None if forecast is None else forecast.told()}
    if forecast is not None:
        forecast.check()
    try:
        outcome = carry_out("pretrain", targets, invocation.options)
    finally:  # a run that ends early leaves a state to go on from
        if not recipe.states and read_manifest(store, recipe.tokens.address):
            prospect.record(store, "pretrain")
    assert outcome is not None
    return {
        **outcome_result(outcome),
        **corpus_result(recipe.targets, outcome.manifests),
        **training_result(recipe, outcome, invocation.options.root),
        "report": report_page(recipe.targets, invocation.options),
    }


def _on_states(recipe: PretrainRecipe, store: Store) -> Prospect[PretrainRecipe]:
    """The recipe on states of its corpus that were built: the last one as the steps that made it, those before by their addresses."""
    *before, last = (_state(recipe, number, store) for number in recipe.states)
    tombstones = read_tombstones(store)
    grown = recipe.grown(ingests_of(recipe, last.parts, tombstones), tokenizer_of(recipe, last), tombstones.of_all)
    if grown.tokens.address != last.artifacts["tokenize"]:
        raise RequestError(
            f"state {last.number} of the corpus would not be made as it was any more, since its sources, the code or what is forgotten"
            " have changed: python jobs/refresh.py makes a new state, to be named in place of it"
        )
    earlier = tuple(Reference(of=state.artifacts["tokenize"], opens=TokenShards) for state in before)
    return Prospect(grown.continued(earlier), last.parts, last.tombstones, last)


def _state(recipe: PretrainRecipe, number: int, store: Store) -> State:
    """A state of the recipe's corpus whose token shards are there."""
    last = latest(store, folder := folder_of(recipe))
    if last is None or not 1 <= number <= last.number:
        known = f"use 1 to {last.number}" if last else "python jobs/corpus.py makes the first"
        raise RequestError(f"--states names state {number}, which the corpus of this recipe does not have in {store.url}: {known}")
    path = f"{folder}/{number:06d}.json"
    state = State.from_json(store.get(path), f"{store.url}/{path}")
    if read_manifest(store, state.artifacts["tokenize"]) is None:
        raise RequestError(
            f"state {number} of the corpus, {state.artifacts['tokenize']}, is no longer there, as documents of it were forgotten:"
            " name only states from then on"
        )
    return state


def training_result(recipe: PretrainRecipe, outcome: Outcome, root: str) -> dict[str, Any]:
    """What the contract says of a pretrained model."""
    facts = outcome.manifests[recipe.checkpoint.address].facts
    scores = outcome.manifests[recipe.evaluation.address].facts["scores"]
    samples = outcome.manifests[recipe.samples.address].facts["samples"]
    folder = open_artifact(open_store(root), recipe.checkpoint).folder("model")
    return {
        "checkpoint": str(folder),
        **{name: facts[name] for name in ("steps", "tokens_per_second", "loss", "mfu", "parameters", "economy") if name in facts},
        "validation": dict(scores.get("perplexity") or next(iter(scores.values()))),
        "samples": samples,
    }


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return "\n".join([show_plan(result), *([show_estimate(result["estimate"])] if result["estimate"] else ())])
    validation = result["validation"]
    lines = [show_corpus(result), f"validation: {_validated(validation)}"]
    for sample in result["samples"]:
        lines += ["── a sample ──", sample["prompt"] + sample["text"], "──"]
    lines += show_cost(result)
    return "\n".join([*lines, f"model:  {result['checkpoint']}", f"report: {result['report']}"])


def _validated(validation: Mapping[str, float]) -> str:
    """Perplexity beside what a compressor makes of the same text; of other tasks, each metric."""
    if "bits_per_byte" not in validation:
        return ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in validation.items())
    return (
        f"loss {validation['loss']:.4f}, perplexity {validation['perplexity']:.2f}, "
        f"{validation['bits_per_byte']:.3f} bits per byte (zstd -19 needs {validation['zstd_bits_per_byte']:.3f} for the same text)"
    )


if __name__ == "__main__":
    raise SystemExit(execute("pretrain", PretrainRecipe, pretrain, show, default="python_library", more=Planning()))
