"""What pretraining is worth to each family: all are pretrained on the same text and fine-tuned on the same few labelled sentences.

A family's twin has fresh weights, and is fine-tuned alike. The labelled sentences are 2,000 of SST-2; its others, without their labels,
are pretrained on together with English prose. The data is public and is not part of the project.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.finetuning import CASES, measured, rows_of, write_rows
from benchmarks.measuring import save
from jobs.checkpoints import folder_of
from jobs.command import load_recipe
from jobs.recipe import Compute, PretrainRecipe
from pipeline.storage import open_store
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

FAMILIES = {"Llama": "python_library", "GPT-2": "gpt2", "mixture of experts": "mixture", "BERT": "bert", "T5": "t5", "LSTM": "lstm"}
"""The preset of each."""
(CASE,) = (case for case in CASES if case.name == "SST-2, 2,000 examples")
SENTENCES_A_DOCUMENT = 50


def main() -> None:
    options = _options()
    data, rows = Path(options.data), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="millrace-") as scratch:
        texts = Path(options.root, "sentences.jsonl")
        texts.parent.mkdir(parents=True, exist_ok=True)
        write_sentences(data, texts)
        for name in options.families or FAMILIES:
            folder = Path(scratch, name)
            folder.mkdir()
            CASE.prepare(data, folder)
            recipe = recipe_of(FAMILIES[name], (str(data / "text/english-mixed.jsonl.gz"), str(texts)), options.tokens)
            facts = trained(recipe, options.root)
            checkpoint = folder_of(recipe.checkpoint, open_store(options.root))
            found = measured(CASE, folder, str(checkpoint), options.root, options.seeds)
            told = {"family": name, "parameters": facts["parameters"], "tokens": facts["tokens"]}
            rows += [told | row for row in found if row["model"] in ("pretrained", "fresh weights")]
            save("families", rows, seeds=options.seeds)


def write_sentences(data: Path, place: Path) -> None:
    """The training sentences that are not fine-tuned on, without their labels, many in a document."""
    with tempfile.TemporaryDirectory() as folder:
        CASE.prepare(data, Path(folder))
        few = {row["text"] for row in rows_of(Path(folder, "train.jsonl"))}
    lines = (data / "finetune/sst2/train.tsv").read_text().splitlines()[1:]
    sentences = [text for line in lines if (text := line.split("\t")[0].strip()) not in few]
    starts = range(0, len(sentences), SENTENCES_A_DOCUMENT)
    write_rows(place, [{"text": "\n".join(sentences[start : start + SENTENCES_A_DOCUMENT])} for start in starts])


def recipe_of(preset: str, sources: tuple[str, ...], tokens: int) -> PretrainRecipe:
    """A family's preset on this text, with a vocabulary for prose. A budget of its own that is greater stays."""
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
    parser.add_argument("data", help="a folder with text/english-mixed.jsonl.gz and finetune/sst2")
    parser.add_argument("--root", default="runs", help="where artifacts live: what is there already is not trained again")
    parser.add_argument("--families", nargs="*", choices=tuple(FAMILIES), help="none: all")
    parser.add_argument("--tokens", type=int, default=2_000_000, help="to pretrain on")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
