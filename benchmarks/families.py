"""What pretraining is worth to each family: all are pretrained on the same news and learn topics from the same few labels.

A family's twin has fresh weights, and is fine-tuned alike. An encoder takes many more tokens than the others here before it looks at the
words around a gap at all, so BERT is not pretrained here: a checkpoint of it is one of the table of fine-tuned tasks. The data is public
and is not part of the project.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.finetuning import AG_NEWS, measured, rows_of, write_rows
from benchmarks.measuring import save
from jobs.checkpoints import folder_of
from jobs.command import load_recipe
from jobs.recipe import Compute, PretrainRecipe
from pipeline.storage import open_store
from pipeline.train.schedule import Schedule
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

FAMILIES = {"Llama": "python_library", "GPT-2": "gpt2", "mixture of experts": "mixture", "T5": "t5", "LSTM": "lstm"}
"""The preset of each."""
LABELS = 200
"""Examples that are learnt from."""
TOGETHER = 25
"""News in a document."""


def _few_news(data: Path, folder: Path) -> None:
    AG_NEWS.prepare(data, folder)
    write_rows(folder / "train.jsonl", rows_of(folder / "train.jsonl")[:LABELS])


LEARNING = {"epochs": 30.0, "batch": 16, "schedule": Schedule(peak=1e-3, warmup=0.1, floor=0.0, decay="linear")}
CASE = replace(AG_NEWS, name=f"AG news, {LABELS} labels", prepare=_few_news, settings=LEARNING)


def write_news(data: Path, place: Path) -> None:
    """Those that are not measured on, without their topics."""
    with tempfile.TemporaryDirectory() as folder:
        AG_NEWS.prepare(data, Path(folder))
        texts = [row["text"] for row in rows_of(Path(folder, "train.jsonl"))]
    write_rows(place, [{"text": "\n".join(texts[start : start + TOGETHER])} for start in range(0, len(texts), TOGETHER)])


def main() -> None:
    options = _options()
    data, rows = Path(options.data), list[dict[str, Any]]()
    texts = Path(options.root, "news.jsonl")
    texts.parent.mkdir(parents=True, exist_ok=True)
    write_news(data, texts)
    with tempfile.TemporaryDirectory(prefix="millrace-") as scratch:
        for name in options.families or FAMILIES:
            folder = Path(scratch, name)
            folder.mkdir()
            CASE.prepare(data, folder)
            recipe = recipe_of(FAMILIES[name], (str(texts),), options.tokens)
            facts = trained(recipe, options.root)
            checkpoint = folder_of(recipe.checkpoint, open_store(options.root))
            told = {"family": name, "parameters": facts["parameters"], "tokens": facts["tokens"]}
            rows += [told | row for row in measured(CASE, folder, str(checkpoint), options.root, options.seeds)]
            save("families", rows, seeds=options.seeds)


def recipe_of(preset: str, sources: tuple[str, ...], tokens: int) -> PretrainRecipe:
    """A family's preset on this text. A budget of its own that is greater stays."""
    recipe = load_recipe(preset, PretrainRecipe)
    return replace(
        recipe,
        sources=sources,
        filters=(),
        similarity=None,
        vocab_size=4096,
        token_budget=max(tokens, recipe.token_budget),
        compute=Compute(workers=1, engine="plain", micro_batch=16, save_every=1000),
    )


def trained(recipe: PretrainRecipe, root: str) -> dict[str, Any]:
    """The facts of the pretrained model."""
    store = open_store(root)
    run([recipe.checkpoint], store, InlineExecutor())
    manifest = read_manifest(store, recipe.checkpoint.address)
    assert manifest is not None
    return dict(manifest.facts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder with finetune/agnews")
    parser.add_argument("--root", default="runs", help="where artifacts live: what is there already is not trained again")
    parser.add_argument("--families", nargs="*", choices=tuple(FAMILIES), help="none: all")
    parser.add_argument("--tokens", type=int, default=2_000_000, help="to pretrain on")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
