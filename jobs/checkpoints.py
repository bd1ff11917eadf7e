"""Which checkpoint a person means: an address in the root, a folder, or the newest one."""

from pathlib import Path

from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.workflow.artifact import Manifest, manifests, read_manifest
from pipeline.workflow.step import Reference, Step
from pipeline.workflow.unit import open_artifact

KINDS = ("pretrain", "finetune", "foreign-checkpoint")
"""The steps that leave a checkpoint; where none is named, the newest of the first kind is meant."""


def checkpoint_manifest(checkpoint: str | None, store: Store) -> Manifest:
    """The manifest of the checkpoint at an address, or of the newest pretrained one; raises RequestError naming those there are."""
    if checkpoint is None and (pretrained := list(manifests(store, KINDS[0]))):
        return max(pretrained, key=_started)
    there = sorted((manifest for kind in KINDS for manifest in manifests(store, kind)), key=_started)
    chosen = read_manifest(store, checkpoint) if checkpoint and checkpoint.split("/")[0] in KINDS else None
    if chosen is not None:
        return chosen
    known = f"choose one of {', '.join(manifest.address for manifest in there)}" if there else "train one with python jobs/pretrain.py"
    raise RequestError(f"there is no checkpoint {checkpoint or ''!s} in {store.url}: {known}, or name a folder with config.json in it")


def _started(manifest: Manifest) -> str:
    return str(manifest.provenance.get("started"))


def checkpoint_step(checkpoint: str | None, store: Store) -> Step[Checkpoint]:
    """The checkpoint as an input of other steps: an address in the root, a folder of safetensors, or the newest one."""
    if checkpoint is not None and Path(checkpoint).is_dir():
        return ForeignCheckpoint.at(checkpoint)
    return Reference(of=checkpoint_manifest(checkpoint, store).address, opens=Checkpoint)


def folder_of(checkpoint: Step[Checkpoint], store: Store) -> Path:
    """A local folder that transformers opens; a foreign checkpoint need not have been taken over yet."""
    return checkpoint.folder if isinstance(checkpoint, ForeignCheckpoint) else open_artifact(store, checkpoint).model


def checkpoint_folder(checkpoint: str | None, root: str) -> Path:
    """A local folder that transformers opens."""
    if checkpoint is not None and Path(checkpoint, "config.json").is_file():
        return Path(checkpoint)
    store = open_store(root)
    folder: Path = open_artifact(store, checkpoint_step(checkpoint, store)).folder("model")
    return folder
