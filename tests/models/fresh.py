"""Small models that are just drawn, tokens for them, and what a few updates make of them. Needs torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models.base import Architecture
from pipeline.models.export import write_model
from pipeline.train.engine import AdamW, Update
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import Alone

VOCABULARY, CONTEXT = 97, 24
UPDATE = Update(clip=0.5, optimizer=AdamW(epsilon=1e-4))
"""With the usual epsilon, AdamW makes a whole step of a gradient however small, so of one that is nothing but its rounding too."""
LENGTHS = (7, 12, 5)
"""Of the documents in a window."""
DOCUMENTS = torch.tensor([[number for number, length in enumerate(LENGTHS) for _ in range(length)]])
POSITIONS = torch.tensor([[place for length in LENGTHS for place in range(length)]])


def drawn(recipe: Architecture, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return recipe.build(VOCABULARY, CONTEXT)


def stirred(recipe: Architecture, seed: int = 0) -> Any:
    """A model whose weights are all of a size that shows in the logits, norms and biases too."""
    model = drawn(recipe, seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model


def some_tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def opened(recipe: Architecture, model: torch.nn.Module, folder: Path) -> Any:
    """The model as transformers opens it; every tensor of the file is one of the model's, and the other way round."""
    from transformers import AutoModelForCausalLM

    write_model(folder, recipe.export(model.state_dict(), VOCABULARY, CONTEXT), end_of_text=0)
    theirs, told = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return theirs.eval()


def products_in(model: torch.nn.Module, inputs: Sequence[Tensor]) -> int:
    """The floating-point operations of a pass forward and backward, those of attention left out, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        model(*inputs).backward()
    return sum(count for operation, count in counter.get_flop_counts()["Global"].items() if "attention" not in str(operation))


def updated(recipe: Architecture, rows: int, steps: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    """The loss of each step and the weights after them, of windows that count up, four a step, `rows` at a time."""
    engine = PlainEngines().start(drawn(recipe), UPDATE, 4 // rows, Alone(lambda metrics: None))
    losses = []
    for step in range(steps):
        starts = torch.randint(VOCABULARY, (4, 1), generator=torch.Generator().manual_seed(step))
        windows, parts = (starts + torch.arange(CONTEXT + 1)) % VOCABULARY, []
        for part in windows.split(rows):
            loss = engine.loss(part[:, :-1], part[:, 1:], DOCUMENTS.expand(len(part), -1), POSITIONS.expand(len(part), -1))
            engine.backward(loss)
            parts.append(loss.item())
        losses.append(sum(parts) / len(parts))
        engine.step(1e-2)
    return losses, engine.weights()
