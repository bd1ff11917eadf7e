"""What a member's device tells of its memory and of the energy that it takes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.train.nvml import nvml

if TYPE_CHECKING:
    import torch

PROCESS = Path("/proc/self")
MILLI = 1e-3


def memory_gauge(device: "torch.device") -> Callable[[], int | None]:
    """The most bytes since now: that tensors took on an accelerator, or else that the process took; None where nobody tells."""
    if device.type == "cpu":
        _forget_peak()
        return _process_peak
    import torch

    torch.cuda.reset_peak_memory_stats(device)
    return lambda: int(torch.cuda.max_memory_allocated(device))


def _forget_peak() -> None:
    """Let the process's peak begin anew: before, it may have done other work."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        return


def _process_peak() -> int | None:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), None)


def energy_gauge(device: "torch.device") -> Callable[[], float] | None:
    """The joules that an accelerator has taken since its driver was loaded; None where it does not count them."""
    library = None if device.type == "cpu" else nvml()
    if library is None:
        return None
    import torch

    try:
        handle = library.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError:
        return None
    return lambda: MILLI * float(library.nvmlDeviceGetTotalEnergyConsumption(handle))
