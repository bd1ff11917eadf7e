"""Runs a job as a person would: as a command in a shell, its output and exit code kept."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.code == 0, self.stderr
        parsed: dict[str, Any] = json.loads(self.stdout)
        return parsed

    @property
    def error(self) -> str:
        """The one line that begins `error:`."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("error:")]
        assert len(lines) == 1, self.stderr
        return lines[0]


def environment(**more: str) -> dict[str, str]:
    """One thread, no tracker, nothing from outside."""
    return {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def job(name: str, *arguments: str, folder: Path | None = None, timeout: float = 300, **variables: str) -> Finished:
    """Run `python jobs/NAME.py ARGUMENTS` from `folder`."""
    command = [sys.executable, str(PROJECT / "jobs" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=timeout)
    return Finished(done.returncode, done.stdout, done.stderr)
