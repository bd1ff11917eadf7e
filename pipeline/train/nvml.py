"""NVIDIA's management library: what devices a machine has, and what energy they take."""

from functools import cache
from typing import Any


@cache
def nvml() -> Any:
    """The library, ready to be asked; None where there is no driver. It stays open until the process ends."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
