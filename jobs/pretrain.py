"""All of `corpus`, then pretraining, then validation on documents it never saw, a sample and a report page."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.history.prospect import as_it_was
from jobs.launch import carry_out, corpus_result, outcome_result, planned, report_page, show_corpus, show_plan
from jobs.recipe import PretrainRecipe
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.workflow.run import Outcome
from pipeline.workflow.unit import open_artifact


def pretrain(invocation: Invocation[PretrainRecipe]) -> Result:
    """Build the model and everything before and after it."""
    workers = invocation.recipe.compute.workers
    if invocation.options.cluster == "none" and workers > 1:
        raise RequestError(f"--cluster none is one process, and --compute.workers is {workers}: use --cluster local, or 1 worker")
    store = open_store(invocation.options.root)
    prospect = as_it_was(invocation.recipe, store)
    recipe = prospect.recipe
    outcome = carry_out("pretrain", recipe.targets, invocation.options)
    if outcome is None:
        return planned(recipe.targets, invocation.options)
    prospect.record(store, "pretrain")
    return {
        **outcome_result(outcome),
        **corpus_result(recipe.targets, outcome.manifests),
        **training_result(recipe, outcome, invocation.options.root),
        "report": report_page(recipe.targets, invocation.options),
    }


def training_result(recipe: PretrainRecipe, outcome: Outcome, root: str) -> dict[str, Any]:
    """What the contract says of a pretrained model."""
    facts = outcome.manifests[recipe.checkpoint.address].facts
    scores = outcome.manifests[recipe.evaluation.address].facts["scores"]
    samples = outcome.manifests[recipe.samples.address].facts["samples"]
    folder = open_artifact(open_store(root), recipe.checkpoint).folder("model")
    return {
        "checkpoint": str(folder),
        **{name: facts[name] for name in ("steps", "tokens_per_second", "loss", "mfu", "parameters")},
        "validation": dict(scores.get("perplexity", {})),
        "samples": samples,
    }


def show(result: Result) -> str:
    """What a person wants to know at the end."""
    if "plan" in result:
        return show_plan(result)
    validation = result["validation"]
    lines = [
        show_corpus(result),
        f"validation: loss {validation['loss']:.4f}, perplexity {validation['perplexity']:.2f}, "
        f"{validation['bits_per_byte']:.3f} bits per byte (zstd -19 needs {validation['zstd_bits_per_byte']:.3f} for the same text)",
    ]
    for sample in result["samples"]:
        lines += ["── a sample ──", sample["prompt"] + sample["text"], "──"]
    return "\n".join([*lines, f"model:  {result['checkpoint']}", f"report: {result['report']}"])


if __name__ == "__main__":
    raise SystemExit(execute("pretrain", PretrainRecipe, pretrain, show, default="python_library"))
