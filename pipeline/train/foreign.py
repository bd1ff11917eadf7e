"""A checkpoint that was trained elsewhere, as the input of other steps: a folder of config, safetensors and tokenizer."""

import json
import math
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pipeline.errors import RequestError, RunError
from pipeline.storage import checksum_of
from pipeline.train.checkpoint import MODEL, Checkpoint
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

CONFIG, WEIGHTS = "config.json", "*.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
KEPT = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
"""What is taken beside the weights: configurations and tokenizers. Code and pickles are left where they are."""


@dataclass(frozen=True, kw_only=True)
class ForeignCheckpoint(Step[Checkpoint]):
    """A checkpoint that is there already; made by `ForeignCheckpoint.at(FOLDER)`.

    Its identity is the digest of its files, so that a moved folder is the same checkpoint, and one with other weights another.
    Facts: `parameters`.
    """

    artifact: ClassVar[type[Artifact]] = Checkpoint
    digest: str
    location: str = field(metadata={"identity": False})

    @classmethod
    def at(cls, location: str) -> "ForeignCheckpoint":
        """The checkpoint in a local folder; raises RequestError where it has no config.json or no safetensors."""
        return cls(digest=digest_of(files_of(location)), location=location)

    @property
    def folder(self) -> Path:
        """Where it lies, taken over or not."""
        return folder_at(self.location)

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.keep, (self.location,))
        return receipt.facts

    def keep(self, unit: Unit, location: str) -> Facts:
        """One unit: take the files as they are."""
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            for place in files_of(location):
                shutil.copyfile(place, Path(local, place.name))
            taken = sorted(Path(local).iterdir())
            if digest_of(taken) != self.digest:
                raise RunError(f"the checkpoint in {location!r} has changed since the run was asked for: start the run again")
            unit.write_folder(MODEL, Path(local))
            return {"parameters": sum(parameters_in(place) for place in taken if place.match(WEIGHTS))}


def folder_at(location: str) -> Path:
    """The local folder that a location names."""
    return Path(location.removeprefix("file://")).expanduser()


def files_of(location: str) -> list[Path]:
    """The files of a checkpoint that are data; raises RequestError where what is needed is missing."""
    folder = folder_at(location)
    if not (folder / CONFIG).is_file():
        raise RequestError(f"{location} is no checkpoint: name a folder with config.json, safetensors and a tokenizer")
    if not list(folder.glob(WEIGHTS)):
        pickles = sorted(place.name for pattern in PICKLES for place in folder.glob(pattern))
        held = f"it holds {', '.join(pickles)}, which could run code" if pickles else "it holds no weights"
        raise RequestError(f"{location} has no .safetensors ({held}): convert it first, by save_pretrained(…, safe_serialization=True)")
    return sorted({place for pattern in (WEIGHTS, *KEPT) for place in folder.glob(pattern) if place.is_file()})


def digest_of(files: list[Path]) -> str:
    """A digest of names and bytes."""
    return checksum_of(json.dumps([[place.name, checksum_of(place)] for place in files]).encode())


def parameters_in(place: Path) -> int:
    """The numbers in a safetensors file; raises RequestError where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(place, "numpy") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118 - no mapping
    except SafetensorError as problem:
        raise RequestError(f"{place} is no safetensors file ({problem}): fetch it again") from problem
