"""How many floating-point operations a device could do: what MFU is a fraction of."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.train.engine import Products

if TYPE_CHECKING:
    import torch

DENSE_BF16 = {  # makers' data sheets, dense, in operations per second; the first name found in the device's counts
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}
MATRIX = {"cpu": 1024, "cuda": 8192}
SECONDS = 0.2


@dataclass(frozen=True)
class Peak:
    """Operations per second of one member's device, and where the figure comes from."""

    flops: float
    source: str
    device: str
    """The device's name, as its driver has it."""


def peak(device: "torch.device", precision: Products) -> Peak:
    """The data sheet's figure where it is known, else the best of a few products of square matrices; for fp8, that of bf16, so that
    figures compare."""

    name = name_of(device)
    if device.type == "cuda" and precision != "fp32":
        for part, flops in DENSE_BF16.items():
            if part in name:
                return Peak(flops, f"data sheet of {name}, dense bf16", name)
    return Peak(_measured(device, precision), f"measured by a product of matrices in {precision} on {device.type}", name)


def name_of(device: "torch.device") -> str:
    """A device's name, as its driver has it."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _measured(device: "torch.device", precision: Products) -> float:
    import torch

    width = MATRIX[device.type]
    kind = torch.bfloat16 if precision != "fp32" else torch.float32
    left, right = torch.ones(width, width, dtype=kind, device=device), torch.ones(width, width, dtype=kind, device=device)
    best, until = 0.0, time.perf_counter() + SECONDS
    while best == 0.0 or time.perf_counter() < until:
        started = time.perf_counter()
        (left @ right)[0, 0].item()  # waits for the device
        best = max(best, 2 * width**3 / (time.perf_counter() - started))
    return best
