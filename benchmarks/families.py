"""What pretraining is worth to each family: all are pretrained on the same text and fine-tuned on the same few examples.

A family's twin has fresh weights, and is fine-tuned alike. What writes is pretrained on German and English captions, each language by
itself, and learns to translate from 2,000 pairs; the LSTM, which has a class for labels alone, is pretrained on news and learns their
topics from 200. BERT is not pretrained here, since an encoder takes many more tokens before it looks at the words around a gap at all:
a checkpoint of it is one of the table of fine-tuned tasks. The data is public and is not part of the project.
"""

import argparse
import gzip
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.finetuning import AG_NEWS, LINES, TABLE, Case, bag_of_words, measured, rows_of, the_source, write_rows
from benchmarks.measuring import save
from jobs.checkpoints import folder_of
from jobs.command import load_recipe
from jobs.recipe import Compute, PretrainRecipe
from pipeline.storage import open_store
from pipeline.train.schedule import Schedule
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

PAIRS, LABELS, TRANSLATED = 2000, 200, 300
"""Examples that are learnt from, and captions that are translated to measure it."""
TOGETHER = 25
"""Captions or news in a document."""


def _few_pairs(data: Path, folder: Path) -> None:
    for name, count in (("train", PAIRS), ("val", TRANSLATED)):
        for side in ("de", "en"):
            with gzip.open(data / f"finetune/multi30k/{name}.{side}.gz", "rt") as lines:
                chosen = [line for _, line in zip(range(count), lines, strict=False)]
            with gzip.open(folder / f"{name}.{side}.gz", "wt") as few:
                few.writelines(chosen)


def _few_news(data: Path, folder: Path) -> None:
    AG_NEWS.prepare(data, folder)
    write_rows(folder / "train.jsonl", rows_of(folder / "train.jsonl")[:LABELS])


def write_captions(data: Path, place: Path) -> None:
    """Those of the training set that no pair is learnt from, in either language, in an order that says nothing of pairs."""
    documents = []
    for side in ("de", "en"):
        with gzip.open(data / f"finetune/multi30k/train.{side}.gz", "rt") as lines:
            documents += _together([line.strip() for line in lines][PAIRS:])
    random.Random(0).shuffle(documents)
    write_rows(place, documents)


def write_news(data: Path, place: Path) -> None:
    """Those that are not measured on, without their topics."""
    with tempfile.TemporaryDirectory() as folder:
        AG_NEWS.prepare(data, Path(folder))
        write_rows(place, _together([row["text"] for row in rows_of(Path(folder, "train.jsonl"))]))


def _together(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": "\n".join(texts[start : start + TOGETHER])} for start in range(0, len(texts), TOGETHER)]


@dataclass(frozen=True)
class Use:
    """What a family is pretrained on, and what it is used for then."""

    preset: str
    write: Callable[[Path, Path], None]
    """Puts the text to pretrain on into a place."""
    case: Case


CAPTIONS = Case(
    f"Multi30k, German to English, {PAIRS:,} pairs",
    "decoder",
    "translation",
    "chrf",
    LINES,
    _few_pairs,
    the_source,
    {"epochs": 10.0, "batch": 32, "schedule": Schedule(peak=1e-3, warmup=0.1, floor=0.0, decay="linear")},
)
LEARNING = {"epochs": 30.0, "batch": 16, "schedule": Schedule(peak=1e-3, warmup=0.1, floor=0.0, decay="linear")}
TOPICS = Case(f"AG news, {LABELS} labels", "decoder", "classification", "accuracy", TABLE, _few_news, bag_of_words, LEARNING)
FAMILIES = {
    "Llama": Use("python_library", write_captions, CAPTIONS),
    "GPT-2": Use("gpt2", write_captions, CAPTIONS),
    "mixture of experts": Use("mixture", write_captions, CAPTIONS),
    "T5": Use("t5", write_captions, CAPTIONS),
    "LSTM": Use("lstm", write_news, TOPICS),
}


def main() -> None:
    options = _options()
    data, rows = Path(options.data), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="millrace-") as scratch:
        for name in options.families or FAMILIES:
            use, folder = FAMILIES[name], Path(scratch, name)
            folder.mkdir()
            texts = Path(options.root, f"{use.write.__name__}.jsonl")
            texts.parent.mkdir(parents=True, exist_ok=True)
            use.write(data, texts)
            use.case.prepare(data, folder)
            recipe = recipe_of(use.preset, (str(texts),), options.tokens)
            facts = trained(recipe, options.root)
            checkpoint = folder_of(recipe.checkpoint, open_store(options.root))
            found = measured(use.case, folder, str(checkpoint), options.root, options.seeds)
            told = {"family": name, "parameters": facts["parameters"], "tokens": facts["tokens"]}
            rows += [told | row for row in found]
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
    parser.add_argument("data", help="a folder with finetune/multi30k and finetune/agnews")
    parser.add_argument("--root", default="runs", help="where artifacts live: what is there already is not trained again")
    parser.add_argument("--families", nargs="*", choices=tuple(FAMILIES), help="none: all")
    parser.add_argument("--tokens", type=int, default=2_000_000, help="to pretrain on")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
