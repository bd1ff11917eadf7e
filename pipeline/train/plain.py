"""The plain PyTorch engine: the oracle that every other engine is compared with.

Every member holds the whole model. Weights and moments are in fp32; with bf16 and fp8, only the matrix products are narrower.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.train.engine import Engine, Holding, Update
from pipeline.train.fp8 import multiply_in_fp8
from pipeline.train.state import copied_parts, load_parts, save_parts, whole_parts
from pipeline.workflow.fingerprint import later
from pipeline.workflow.step import Member

if TYPE_CHECKING:  # a recipe is read without loading torch
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class PlainEngines:
    """Starts plain PyTorch engines: data parallel, with averaged gradients."""

    sequence_parallel: int = later(1)
    """Neighbouring members who share each window."""

    def check(self, update: Update) -> None:
        """Every member holds all of every weight, so any update can be made."""

    def holding(self, parameters: int, size: int) -> Holding:
        """All of it in each, and once more the gradients where they are averaged."""
        return Holding(weights=parameters, gradients=parameters, moments=2 * parameters, exchange=parameters if size > 1 else 0)

    def start(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> Engine:
        if self.sequence_parallel > 1:
            from pipeline.train.exchange import Slice, exchanged, share_windows

            share_windows(model, Slice.of(member, self.sequence_parallel), exchanged)
        return PlainEngine(model, update, accumulation, member)


class PlainEngine:
    """A model in training without any library around it."""

    def __init__(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> None:
        self.device = own_device()
        self.model = model.to(self.device)
        if update.precision == "fp8":
            multiply_in_fp8(self.model, self.device)
        self.update, self.accumulation, self.member = update, accumulation, member
        self.optimizer = update.optimizer.build(self.model)

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
        if not norm.isfinite():
            self.drop()
            return norm.item()
        if self.update.clip:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.update.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm.item()

    def drop(self) -> None:
        self.optimizer.zero_grad()

    def save(self, folder: Path) -> None:
        """The members' states are equal, so the first one's is the gang's."""
        if self.member.rank == 0:
            save_parts(folder, 0, whole_parts(self.model), self.optimizer)

    def copied(self) -> Callable[[Path], None]:
        return copied_parts(0, whole_parts(self.model), self.optimizer) if self.member.rank == 0 else lambda _: None

    def load(self, folder: Path) -> None:
        load_parts(folder, whole_parts(self.model), self.optimizer)

    def weights(self) -> "dict[str, Tensor]":
        return {name: parameter.detach().float().cpu().contiguous() for name, parameter in self.model.named_parameters()}

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if self.update.precision != "fp32" else nullcontext()


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
