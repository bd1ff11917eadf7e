"""The state of an engine in a form that a gang of any size opens: each member leaves what it updates, by the names of the weights.

A member's file holds its part of each weight (`weight.NAME`) and what the optimizer keeps of that (`exp_avg.NAME`, …), flattened; the
metadata says where each part begins in the flattened weight. A member of another gang, or under another engine, reads the parts
that it updates out of all files. Nothing is gathered and nothing is rounded: what was saved by a gang of the same layout
goes on bit for bit.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import Damaged

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

FILE = "state-{}.safetensors"
WEIGHT, COUNT = "weight", "step"
"""The first part of a tensor's name: a weight, and what counts an optimizer's updates, which is one number for all of it."""


@dataclass(frozen=True)
class Part:
    """A stretch of a flattened weight that this member updates, inside a tensor of its optimizer."""

    name: str
    """The weight's name in the model."""
    start: int
    """Its first element in the flattened weight."""
    size: int
    holder: "Tensor"
    """What the optimizer updates: the weight itself, or a flat tensor with parts of many."""
    offset: int = 0
    """Where the stretch begins in the flattened holder."""

    def cut(self, tensor: "Tensor") -> "Tensor":
        """The stretch of a tensor that is shaped as the holder is."""
        return tensor.detach().reshape(-1)[self.offset : self.offset + self.size]

    def fill(self, tensor: "Tensor", values: "Tensor") -> None:
        """Replace the stretch of a tensor that is shaped as the holder is."""
        if self.size == tensor.numel():
            tensor.copy_(values.view(tensor.shape))
        else:
            self.cut(tensor).copy_(values)


def whole_parts(model: "nn.Module") -> Iterator[Part]:
    """Every weight that is trained, as a whole; the rest is as it was built."""
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            yield Part(name, 0, weight.numel(), weight)


def save_parts(folder: Path, rank: int, parts: Iterable[Part], optimizer: "Optimizer") -> None:
    """Write a member's parts into a file of its own."""
    _write(folder, rank, *_named(parts, optimizer))


def copied_parts(rank: int, parts: Iterable[Part], optimizer: "Optimizer") -> Callable[[Path], None]:
    """Copy a member's parts into host memory; what is returned writes them into a folder as `save_parts` does, in any thread."""
    tensors, starts = _named(parts, optimizer)
    copies = {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}
    return lambda folder: _write(folder, rank, copies, starts)


def _named(parts: Iterable[Part], optimizer: "Optimizer") -> "tuple[dict[str, Tensor], dict[str, int]]":
    """The tensors of a member's parts, and where the parts begin."""
    tensors: dict[str, Tensor] = {}
    starts: dict[str, int] = {}
    for part in parts:
        starts[part.name] = part.start
        tensors[f"{WEIGHT}.{part.name}"] = part.cut(part.holder)
        for key, value in optimizer.state[part.holder].items():
            tensors[f"{key}.{part.name}"] = value.clone() if key == COUNT else part.cut(value)
    return tensors, starts


def _write(folder: Path, rank: int, tensors: "dict[str, Tensor]", starts: dict[str, int]) -> None:
    """Write a member's file. Raises OSError where there is no room for it."""
    write_tensors(folder / FILE.format(f"{rank:05d}"), tensors, {"starts": json.dumps(starts)})


def write_tensors(place: Path, tensors: "dict[str, Tensor]", metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors do. Raises OSError where there is no room for them."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, place, metadata=metadata)
    except SafetensorError as problem:
        raise OSError(f"{place} cannot be written: {problem}") from problem


def load_parts(folder: Path, parts: Iterable[Part], optimizer: "Optimizer") -> None:
    """Read a member's parts out of the files of all members. Raises Damaged where the files do not hold all of them."""
    import torch

    with ExitStack() as stack, torch.no_grad():
        saved = Saved(folder, stack)
        for part in parts:
            part.fill(part.holder, saved.read(WEIGHT, part))
            state = optimizer.state[part.holder]
            if not saved.keys(part.name):
                state.clear()  # saved before the first update
            for key in saved.keys(part.name):
                if key == COUNT:
                    state[key] = saved.count(part.name).to(part.holder.device)
                    continue
                if key not in state:
                    state[key] = torch.zeros_like(part.holder)
                part.fill(state[key], saved.read(key, part))


class Saved:
    """The files of a gang's members, opened."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from safetensors import safe_open

        self.folder = folder
        self.found: dict[str, list[tuple[int, Any]]] = {}
        """Of each weight: where the parts begin that were saved of it, with their files."""
        self.kept: dict[str, set[str]] = {}
        """Of each weight: what the optimizer kept of it."""
        for file in sorted(folder.glob(FILE.format("*"))):
            opened = stack.enter_context(safe_open(file, "pt"))
            for name, start in json.loads(opened.metadata()["starts"]).items():
                self.found.setdefault(name, []).append((start, opened))
            for key, _, name in (tensor.partition(".") for tensor in opened.keys()):  # noqa: SIM118 - no mapping
                self.kept.setdefault(name, set()).add(key)

    def keys(self, name: str) -> list[str]:
        """What the optimizer kept of a weight."""
        return sorted(self.kept[name] - {WEIGHT})

    def count(self, name: str) -> "Tensor":
        """How many updates the optimizer has made of a weight."""
        _, opened = self.found[name][0]
        count: Tensor = opened.get_tensor(f"{COUNT}.{name}")
        return count

    def read(self, key: str, part: Part) -> "Tensor":
        """A member's part of what was saved of a weight, from whatever parts it was saved in."""
        import torch

        pieces, stop = [], part.start + part.size
        for start, opened in sorted(self.found.get(part.name, ()), key=lambda found: found[0]):
            saved = opened.get_slice(f"{key}.{part.name}")
            first, last = max(part.start, start), min(stop, start + saved.get_shape()[0])
            if first < last:
                pieces.append(saved[first - start : last - start])
        if sum(map(len, pieces)) != part.size:
            raise Damaged(f"{self.folder} does not hold all of {part.name}: delete the checkpoint to go on from an older one")
        return torch.cat(pieces).to(part.holder.device)
