"""A gang as processes of this machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[2]
VARIABLES = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def run_members(size: int, module: str, arguments: Callable[[int], Sequence[str]]) -> None:
    """Run `python -m MODULE ARGUMENTS` as often as there are members, of whom each has its own arguments, by its rank; all must succeed.

    A gang that hangs is ended by the time that it has.
    """
    members = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments(rank)],
            cwd=PROJECT,
            env={**os.environ, **VARIABLES, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        ended = [(member.communicate(timeout=300)[1], member.returncode) for member in members]
    finally:
        for member in members:
            member.kill()
    assert [code for _, code in ended] == [0] * size, [words[-1000:] for words, _ in ended]
