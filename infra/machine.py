"""The devices of this machine and their memory, asked of the operating system and of the driver: nothing heavy is loaded for that."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.train.estimate import Machine
from pipeline.train.nvml import nvml

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current", ""), ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory"))
"""The files of a control group, of version 2 and of version 1, and the folder of the latter's controller."""


def this_machine() -> Machine | None:
    """What a gang on this machine would run on: its accelerators where it has any, else its processors; None where neither tells."""
    return _accelerators() or _processors()


def _accelerators() -> Machine | None:
    """Those that the driver shows, as the smallest of them is."""
    library = nvml()
    if library is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return None
    try:
        handles = [library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())]
        known = ((library.nvmlDeviceGetMemoryInfo(handle), library.nvmlDeviceGetName(handle)) for handle in handles)
        found = [(memory.total, memory.free, name) for memory, name in known]
    except library.NVMLError:
        return None
    if not found:
        return None
    memory, free, name = min(found)
    return Machine(kind="cuda", name=name, memory=memory, free=free)


def _processors() -> Machine | None:
    """What the system has, or as much of it as this process's control groups allow."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        system = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
        memory, free = system["MemTotal"] + system["SwapTotal"], system["MemAvailable"] + system["SwapFree"]
    except (OSError, ValueError, IndexError, KeyError):
        return None
    for limit, used in _limits():
        memory, free = min(memory, limit), min(free, max(0, limit - used))
    return Machine(kind="cpu", name="cpu", memory=memory, free=free)


def _limits() -> Iterator[tuple[int, int]]:
    """(limit, in use) of each control group that this process is in, up to the root; those without a limit are left out."""
    for folder, (most, current) in _groups():
        try:
            limit, used = (folder / most).read_text().strip(), (folder / current).read_text().strip()
            yield int(limit), int(used)
        except (OSError, ValueError):  # "max", or no such group here
            continue


def _groups() -> Iterator[tuple[Path, tuple[str, str]]]:
    try:
        memberships = [line.split(":", 2) for line in (PROC / "self/cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in memberships:
        for most, current, controller in LIMITS:
            if controllers == controller or (controller and controller in controllers.split(",")):
                root = GROUPS / controller
                for place in (inside := Path(path.lstrip("/")), *inside.parents):
                    yield root / place, (most, current)
