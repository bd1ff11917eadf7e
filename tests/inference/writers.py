"""A small model of each family that writes text, just drawn, in the vocabulary of the trained checkpoint."""

from pathlib import Path
from typing import Any

import torch

from pipeline.inference.opening import CAUSAL, open_model
from pipeline.models.base import Architecture
from pipeline.models.export import write_model
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5

VOCABULARY, CONTEXT, END = 320, 32, 0
FAMILIES: dict[str, Architecture] = {
    "gpt2": GPT2(dim=32, depth=2, heads=4),
    "llama": Llama(dim=32, depth=2, heads=2),
    "mixture": Mixtral(dim=32, depth=2, heads=2, experts=4, active=2),
    "lstm": Lstm(dim=32, depth=2),
    "t5": T5(dim=32, depth=2, heads=2),
}


def opened(family: str, folder: Path) -> Any:
    """The model as its exported folder is opened; its weights are of a size that lets it say many things."""
    recipe = FAMILIES[family]
    torch.manual_seed(7)
    model = recipe.build(VOCABULARY, CONTEXT)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    write_model(
        folder, recipe.export(model.state_dict(), VOCABULARY, CONTEXT), END, {"decoder_start_token_id": 1} if family == "t5" else {}
    )
    return open_model(folder, "AutoModelForSeq2SeqLM" if family == "t5" else CAUSAL)
