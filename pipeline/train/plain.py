"""The plain PyTorch engine: the oracle that every other engine is compared with.

Every member holds the whole model. Weights and moments are in fp32; with bf16, only the matrix products are narrower.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.train.engine import Engine, Update
from pipeline.workflow.step import Member

if TYPE_CHECKING:  # a recipe is read without loading torch
    import torch
    from torch import Tensor, nn

STATE = "state.safetensors"
ADAMW = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter: its step count and two moments."""


@dataclass(frozen=True, kw_only=True)
class PlainEngines:
    """Starts plain PyTorch engines: data parallel, with averaged gradients."""

    def start(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> Engine:
        return PlainEngine(model, update, accumulation, member)


class PlainEngine:
    """A model in training without any library around it."""

    def __init__(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> None:
        from torch.optim import AdamW

        self.device = own_device()
        self.model = model.to(self.device)
        self.update, self.accumulation, self.member = update, accumulation, member
        recipe = update.optimizer
        self.optimizer = AdamW(recipe.groups(self.model), betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True)

    def loss(self, *inputs: "Tensor") -> "Tensor":
        with self._precision():
            loss: Tensor = self.model(*inputs)
        return loss

    def backward(self, loss: "Tensor") -> None:
        (loss / self.accumulation).backward()  # type: ignore[no-untyped-call]

    def step(self, learning_rate: float) -> float:
        import torch

        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        if self.member.size > 1:
            average(gradients, self.member.size)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.update.clip:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.update.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm.item()

    def save(self, folder: Path) -> None:
        """The members' states are equal, so the first one's is the gang's."""
        if self.member.rank == 0:
            from safetensors.torch import save_file

            save_file(self._state(), folder / STATE)

    def load(self, folder: Path) -> None:
        import torch
        from safetensors.torch import load_file

        state = load_file(folder / STATE)
        with torch.no_grad():
            for name, parameter in self._trained():
                parameter.copy_(state[f"weight.{name}"])
                moments = {key: state[f"{key}.{name}"] for key in ADAMW}
                self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in moments.items()}

    def weights(self) -> "dict[str, Tensor]":
        return {name: parameter.detach().float().cpu().contiguous() for name, parameter in self.model.named_parameters()}

    def _state(self) -> "dict[str, Tensor]":
        state: dict[str, Tensor] = {}
        for name, parameter in self._trained():
            state[f"weight.{name}"] = parameter.detach().contiguous()
            state |= {f"{key}.{name}": self.optimizer.state[parameter][key].contiguous() for key in ADAMW}
        return state

    def _trained(self) -> "Iterator[tuple[str, nn.Parameter]]":
        """What an optimizer changes; the rest is as it was built."""
        return ((name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad)

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if self.update.precision == "bf16" else nullcontext()


def own_device() -> "torch.device":
    """The accelerator that this member was given (LOCAL_RANK, as launchers set it), or the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def average(gradients: "list[Tensor]", size: int) -> None:
    """Replace each gradient by its mean over the gang, in one exchange."""
    import torch
    from torch import distributed

    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= size
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
