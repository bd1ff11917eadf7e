"""A checkpoint as a folder that can be put on the Hugging Face Hub as it is: weights, configurations, tokenizer and a card."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.errors import RequestError
from pipeline.train.checkpoint import MODEL
from pipeline.train.foreign import CONFIG, KEPT
from pipeline.train.gguf_file import GGUF, check_gguf, write_gguf
from pipeline.train.hub_card import Card, hub_card
from pipeline.train.making import Making
from pipeline.train.saved_weights import INDEX, NAMES, Precision, weights_in, write_weights
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

HUB = "hub"
MEBIBYTE = 1 << 20


class Folder(Artifact):
    """A folder for the Hub."""

    @property
    def path(self) -> Path:
        """The local folder."""
        return self.folder(HUB)


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a model is written."""

    precision: Precision | None = None
    """Of the weights; None: as they are."""
    shard_mebibytes: int = 5_000
    """Greatest size of a file of weights."""
    gguf: bool = False
    """Write the model as one file for llama.cpp too: of decoders of the Llama family, with a tokenizer trained here."""

    def __post_init__(self) -> None:
        if self.precision not in (None, *NAMES):
            raise RequestError(f"precision is {self.precision!r}: use {', '.join(NAMES)}, or leave it out")
        if self.shard_mebibytes < 1:
            raise RequestError(f"shard_mebibytes is {self.shard_mebibytes}: use at least 1")


@dataclass(frozen=True, kw_only=True)
class HubFolder(Step[Folder]):
    """Write a checkpoint for the Hub. Its card tells what the manifests of the checkpoint, its lineage and its evaluations say.

    Facts: `parameters`, `bytes` and `files` (of the weights), `gguf` (its file's name, or none).
    """

    artifact: ClassVar[type[Artifact]] = Folder
    checkpoint: Step[Any]
    """What leaves a folder that transformers opens."""
    lineage: tuple[Step[Any], ...] = ()
    """What it was made from, inputs first."""
    missing: tuple[str, ...] = ()
    """Addresses among these of what is no longer there."""
    evaluations: tuple[Step[Any], ...] = ()
    form: Form = Form()
    card: Card = Card()

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.write, (None,))
        return receipt.facts

    def write(self, unit: Unit, _: None) -> Facts:
        """One unit: everything, since the folder is whole or is not there."""
        source = unit.open(self.checkpoint).folder(MODEL)
        making = Making(
            unit.open(self.checkpoint).manifest,
            [unit.open(step).manifest for step in self.lineage],
            self.missing,
            [unit.open(step).manifest for step in self.evaluations],
        )
        weights = weights_in(source)
        with tempfile.TemporaryDirectory(prefix="millrace-") as local:
            folder = Path(local)
            config = _copy(source, folder, self.form.precision)
            facts = {**write_weights(weights, folder, self.form.precision, self.form.shard_mebibytes * MEBIBYTE), "gguf": None}
            if self.form.gguf:
                write_gguf(source, weights, self.form.precision, self.card.name or self.checkpoint.address, folder / GGUF)
                facts["gguf"] = GGUF
            (folder / "README.md").write_text(hub_card(self.card, making, config, facts), encoding="utf-8")
            unit.write_folder(HUB, folder)
        return facts


def check_form(folder: Path, form: Form) -> None:
    """Raise RequestError where the checkpoint in a folder cannot be written so."""
    weights = weights_in(folder)
    if form.gguf:
        check_gguf(folder, weights)


def _copy(source: Path, target: Path, precision: Precision | None) -> Mapping[str, Any]:
    """Copy configurations and tokenizer; returns what config.json says of the model, its precision included."""
    for place in sorted({place for pattern in KEPT for place in source.glob(pattern) if place.is_file() and place.name != INDEX}):
        shutil.copyfile(place, target / place.name)
    config: dict[str, Any] = json.loads((source / CONFIG).read_bytes())
    if precision is not None:
        config = {name: value for name, value in config.items() if name != "torch_dtype"} | {"dtype": NAMES[precision]}
        (target / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return config
