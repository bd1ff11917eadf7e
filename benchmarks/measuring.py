"""What a command costs, by the operating system's own account, and results with machine and date."""

import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """CPU seconds and wall seconds of a finished command with its children, and its greatest memory in MB."""

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


def single_threaded(**environment: str) -> dict[str, str]:
    """This environment with one thread a library; and compiled modules are kept, as they are on a user's machine."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **threads, **environment}


def measure(command: Sequence[str], **environment: str) -> Cost:
    """Run a command to its end, on one thread a library; raises where it fails, with what it said."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=single_threaded(**environment))
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {output.read()[-2000:].decode(errors='replace')}")
    return Cost(round(usage.ru_utime + usage.ru_stime, 2), round(wall, 2), round(usage.ru_maxrss / 1024, 1))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "python": platform.python_version()}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    widths = {column: max(len(column), *(len(str(row.get(column, ""))) for row in rows)) for column in columns}
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        print("  ".join(f"{row.get(column, '')!s:<{widths[column]}}" for column in columns))


def save(name: str, rows: Sequence[dict[str, Any]], **about: Any) -> Path:
    """Write results/NAME.json and print the rows as a table."""
    show(rows)
    place = Path(__file__).parent / "results" / f"{name}.json"
    place.parent.mkdir(exist_ok=True)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    place.write_text(json.dumps({"date": date, "machine": machine(), **about, "rows": list(rows)}, indent=1) + "\n")
    return place


def row(tool: str, megabytes: float, cost: Cost) -> dict[str, Any]:
    """A row of a results table."""
    return {"tool": tool, "mb_per_core_second": round(megabytes / cost.cpu_seconds, 2), **asdict(cost)}


def own_peak_mb() -> float:
    """The greatest memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
