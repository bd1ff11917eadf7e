"""What a checkpoint was taught, by lineage: the documents behind its mixture, and what it and those before it were fine-tuned on."""

from collections.abc import Iterator

from pipeline.documents import Documents
from pipeline.errors import RequestError
from pipeline.evaluate.taught import Corpus, Lessons, Taught
from pipeline.finetune.examples import Examples
from pipeline.storage import Store
from pipeline.tokens.split import Split
from pipeline.workflow.artifact import Manifest, read_manifest
from pipeline.workflow.step import Reference


def taught(checkpoint: Manifest, store: Store) -> tuple[Taught, ...]:
    """Everything that a checkpoint was trained on, its ancestors' first, each once.

    Raises RequestError where that cannot be said: a model came from elsewhere, or what it was trained on is gone or was built again.
    """
    return tuple(dict.fromkeys(_taught(checkpoint, store)))


def _taught(checkpoint: Manifest, store: Store) -> Iterator[Taught]:
    recipe = checkpoint.recipe
    if "mixture" in recipe:
        for where, phase in [("", recipe), *((f"then[{place}].", phase) for place, phase in enumerate(recipe.get("then", ())))]:
            for place, member in enumerate(phase["mixture"]):
                yield _corpus(_input(checkpoint, f"{where}mixture[{place}].tokens", store), member["source"], store)
    elif "checkpoint" in checkpoint.inputs:
        yield from _taught(_input(checkpoint, "checkpoint", store), store)
        windows = _input(checkpoint, "windows", store)
        examples = _input(windows, "examples", store)
        yield Lessons(Reference(of=examples.address, opens=Examples), windows.recipe["held_out"])
    else:
        raise RequestError(f"what {checkpoint.address} was trained on is not in this root: ask for contamination of models trained here")


def _corpus(tokens: Manifest, source: str | None, store: Store) -> Corpus:
    documents, split = _input(tokens, "documents", store), tokens.recipe["split"]
    chosen = Split(fraction=split["fraction"], salt=split["salt"], of=split.get("of", "documents"))
    return Corpus(Reference(of=documents.address, opens=Documents), chosen, source)


def _input(manifest: Manifest, path: str, store: Store) -> Manifest:
    """What an artifact was built from, if it is still what it was."""
    named = manifest.inputs[path]
    found = read_manifest(store, named["address"])
    if found is None or found.content != named["content"]:
        state = "is no longer there" if found is None else "was built again since, with other bytes"
        raise RequestError(
            f"{named['address']}, which {manifest.address} was made from, {state}: evaluate without --contamination, or train anew"
        )
    return found
