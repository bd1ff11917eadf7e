"""A mixture of experts beside its dense twin: as many active parameters in each layer, the same text, the same tokens in the same order."""

import argparse
from dataclasses import replace
from typing import Any

from benchmarks.measuring import save
from jobs.command import load_recipe
from jobs.recipe import Compute, PretrainRecipe
from pipeline.models.llama import Llama
from pipeline.models.mixtral import Mixtral
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact

SIZE = {"dim": 128, "depth": 4, "heads": 4}
MODELS = {"mixture of experts": Mixtral(**SIZE, experts=8, active=2), "dense": Llama(**SIZE)}
"""The experts that are active are as wide together as the dense network."""


def main() -> None:
    options = _options()
    rows = list[dict[str, Any]]()
    for seed in range(options.seeds):
        for name, model in MODELS.items():
            recipe = replace(
                load_recipe("mixture", PretrainRecipe),
                sources=tuple(options.sources),
                vocab_size=4096,
                validation=0.02,
                model=model,
                seed=seed,
                token_budget=options.tokens,
                compute=Compute(workers=1, engine="plain", micro_batch=16, save_every=1000),
            )
            rows.append({"model": name, "seed": seed, **measured(recipe, options.root)})
            save("mixture", rows, tokens=options.tokens)


def measured(recipe: PretrainRecipe, root: str) -> dict[str, Any]:
    """The held-out loss, with its 95 % interval."""
    store = open_store(root)
    run([recipe.evaluation], store, InlineExecutor())
    trained, scores = open_artifact(store, recipe.checkpoint).facts, open_artifact(store, recipe.evaluation).facts["scores"]["perplexity"]
    return {
        "parameters": trained["parameters"],
        "FLOPs a token": trained["flops_per_token"],
        "tokens": trained["tokens"],
        "loss": round(scores["loss"], 4),
        "95 % interval": f"{scores['loss_low']:.4f} to {scores['loss_high']:.4f}",
        "bits a byte": round(scores["bits_per_byte"], 4),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="text to train on")
    parser.add_argument("--root", default="runs", help="where artifacts live: what is there already is not trained again")
    parser.add_argument("--tokens", type=int, default=3_000_000, help="to pretrain on")
    parser.add_argument("--seeds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
