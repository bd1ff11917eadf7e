"""A checkpoint as a module to fine-tune: opened for its task, with a head where it needs one, whole or by low-rank adapters."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig

from pipeline.errors import RequestError
from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.lora import Lora
from pipeline.inference.opening import open_model

if TYPE_CHECKING:
    from pipeline.finetune.reader import Reader

DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "dropout_rate",
    "attention_dropout",
    "dropout",
)
"""What the families of transformers call it."""


class Learner(nn.Module):
    """What an engine trains: inputs in the order of the task's names, and the mean loss of their windows."""

    def __init__(self, model: Any, task: FinetuneTask) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.task.losses(self.model, dict(zip(self.task.inputs, inputs, strict=True))).mean()

    def recompute(self) -> None:
        """Compute the layers' activations once more in the backward pass, instead of keeping them. Raises RequestError."""
        if not self.model.supports_gradient_checkpointing:
            raise RequestError(f"recompute is true, and a {self.model.config.model_type} has no layers to compute once more: leave it out")
        self.model.config.use_cache = False  # a layer that is computed twice would enter what it remembers twice
        self.model.activation_checkpointing_enable({"use_reentrant": False})

    def take(self, weights: Mapping[str, Tensor]) -> Any:
        """Take over the weights of another one of the same kind; returns the model."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(weights[name])
        return self.model

    def merged(self) -> Any:
        """The model with what adapters add in the matrices that they stand beside."""
        return self.model.merge_and_unload() if hasattr(self.model, "merge_and_unload") else self.model


def open_learner(reader: "Reader", task: FinetuneTask, lora: Lora | None, dropout: float, seed: int) -> Learner:
    """The checkpoint of a reader for a task; a new head is drawn from the seed. Raises RequestError."""
    config = AutoConfig.from_pretrained(reader.folder, local_files_only=True, trust_remote_code=False)
    settings = settings_of(config, reader.labels, dropout)
    torch.manual_seed(seed)
    opener = task.opener(reader.kind)
    with quiet():
        model = open_model(reader.folder, opener, dtype=torch.float32, key_mapping=renamed(config, opener), **settings).cpu()
    model.config.pad_token_id = reader.padding
    for layer in model.children():
        if isinstance(layer, nn.Dropout):  # of the head, which some families have whatever their configuration says
            layer.p = dropout
    task.prepare(model, reader)
    learner = Learner(model if lora is None else _adapted(model, lora, reader.folder), task)
    return learner.train()  # a model is opened to be asked, and would drop nothing out


def renamed(config: Any, opener: str) -> dict[str, str]:
    """The names of weights in a folder as the class that opens it has them: for some tasks, transformers calls the body of Llama and
    others by another name than elsewhere, and would draw it anew."""
    elsewhere, here = (getattr(transformers, kind)._model_mapping.get(type(config), None) for kind in ("AutoModel", opener))
    names = [getattr(kind, "base_model_prefix", "") for kind in (elsewhere, here)]
    return {} if names[0] == names[1] or not all(names) else {rf"^{names[0]}\.": f"{names[1]}."}


def settings_of(config: Any, labels: Sequence[str], dropout: float) -> dict[str, Any]:
    """What a configuration is to say besides what it does: labels, and what is dropped out by the family's names for that."""
    dropped = {name: dropout for name in DROPOUTS if hasattr(config, name)}
    if not labels:
        return dropped
    return {
        **dropped,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _adapted(model: Any, lora: Lora, folder: Path) -> Any:
    from peft import LoraConfig, get_peft_model

    heads = [name for name, _ in model.named_children() if name in ("classifier", "score", "qa_outputs", "classification_head")]
    settings = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", modules_to_save=heads or None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_peft_model(model, settings)
    except ValueError as problem:
        raise RequestError(
            f"{folder} has no matrices that adapters could stand beside ({problem}): train it whole, without --lora"
        ) from problem


@contextmanager
def quiet() -> Iterator[None]:
    """What transformers remarks is as it was asked for: that a head is new, that no mask says what rows are filled up by."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
