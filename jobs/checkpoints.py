"""Which checkpoint a person means: an address in the root, a folder, or the newest one."""

from pathlib import Path
from typing import Any

from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import Manifest, manifests, read_manifest
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import open_artifact

KINDS = ("pretrain",)
"""The steps that leave a checkpoint."""


def checkpoint_manifest(checkpoint: str | None, store: Store) -> Manifest:
    """The manifest of the checkpoint at an address, or of the newest; raises RequestError naming those there are."""
    there = sorted(
        (manifest for kind in KINDS for manifest in manifests(store, kind)), key=lambda manifest: str(manifest.provenance.get("started"))
    )
    if checkpoint is None and there:
        return there[-1]
    chosen = read_manifest(store, checkpoint) if checkpoint and checkpoint.split("/")[0] in KINDS else None
    if chosen is not None:
        return chosen
    known = f"choose one of {', '.join(manifest.address for manifest in there)}" if there else "train one with python jobs/pretrain.py"
    raise RequestError(f"there is no checkpoint {checkpoint or ''!s} in {store.url}: {known}, or name a folder with config.json in it")


def checkpoint_step(checkpoint: str | None, store: Store) -> Reference[Any]:
    """The checkpoint as an input of other steps."""
    return Reference(of=checkpoint_manifest(checkpoint, store).address, opens=Checkpoint)


def checkpoint_folder(checkpoint: str | None, root: str) -> Path:
    """A local folder that transformers opens."""
    if checkpoint is not None and Path(checkpoint, "config.json").is_file():
        return Path(checkpoint)
    store = open_store(root)
    folder: Path = open_artifact(store, checkpoint_step(checkpoint, store)).folder("model")
    return folder
