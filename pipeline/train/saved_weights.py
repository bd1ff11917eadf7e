"""The weights of a folder written anew: in another precision, and in files of a greatest size, as the Hugging Face Hub has them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "bf16"]
ALONE, INDEX = "model.safetensors", "model.safetensors.index.json"
NAMES = {"fp32": "float32", "bf16": "bfloat16"}
"""As config.json has them."""


@dataclass(frozen=True)
class Weight:
    """A tensor that lies in a file."""

    name: str
    file: Path
    shape: tuple[int, ...]
    kind: str
    """As safetensors names it: "F32", "BF16", …"""

    @property
    def floating(self) -> bool:
        """Whether it has a precision that can be changed without a loss of meaning: F8 and integers belong to a quantization."""
        return self.kind in ("F64", "F32", "F16", "BF16")

    def read(self, precision: Precision | None) -> "Tensor":
        """The tensor, in the precision asked for."""
        import torch
        from safetensors import safe_open

        with safe_open(self.file, "pt") as tensors:
            tensor: Tensor = tensors.get_tensor(self.name)
        return tensor.to(getattr(torch, NAMES[precision])) if precision and self.floating else tensor


def weights_in(folder: Path) -> list[Weight]:
    """Every tensor of a folder, by name. Raises RequestError for one that two files hold, or that its index names and no file holds."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, Weight] = {}
    for file in _files(folder):
        try:
            with safe_open(file, "np") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - no mapping
                    if name in found:
                        raise RequestError(f"{folder} holds {name} in {found[name].file.name} and in {file.name}: remove one of them")
                    part = tensors.get_slice(name)
                    found[name] = Weight(name, file, tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as problem:
            raise RequestError(f"{file} is no safetensors file ({problem}): fetch it again") from problem
    return [weight for _, weight in sorted(found.items())]


def _files(folder: Path) -> list[Path]:
    """The files that count: those of the index, else the one with the usual name, else all."""
    if (folder / INDEX).is_file():
        named = json.loads((folder / INDEX).read_bytes())["weight_map"].values()
        return [folder / Path(name).name for name in sorted(set(named))]
    return [folder / ALONE] if (folder / ALONE).is_file() else sorted(folder.glob("*.safetensors"))


def write_weights(weights: Sequence[Weight], folder: Path, precision: Precision | None, most_bytes: int) -> dict[str, Any]:
    """Write the tensors into files of at most `most_bytes` (one file a tensor that is larger), one in memory at a time.

    Returns how many `parameters`, `bytes` and `files` there are.
    """
    from safetensors.torch import save_file

    shards = list(_shards(weights, precision, most_bytes))
    place: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = ALONE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({weight.name: weight.read(precision) for weight in shard}, folder / file, metadata={"format": "pt"})
        place |= dict.fromkeys((weight.name for weight in shard), file)
    size = sum(_bytes(weight, precision) for weight in weights)
    if len(shards) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(place.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return {"parameters": sum(math.prod(weight.shape) for weight in weights), "bytes": size, "files": len(shards)}


def _shards(weights: Sequence[Weight], precision: Precision | None, most_bytes: int) -> Iterator[list[Weight]]:
    shard, size = list[Weight](), 0
    for weight in weights:
        own = _bytes(weight, precision)
        if shard and size + own > most_bytes:
            yield shard
            shard, size = [], 0
        shard.append(weight)
        size += own
    if shard:
        yield shard


def _bytes(weight: Weight, precision: Precision | None) -> int:
    return math.prod(weight.shape) * (BYTES[precision] if precision and weight.floating else BYTES[weight.kind])


BYTES: Mapping[str, int] = {
    **{"fp32": 4, "bf16": 2},
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2},
    **{"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1},
}
