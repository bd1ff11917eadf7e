"""`ray job submit` as a person does it who waits until a new head takes jobs: its agent may come up a while after it."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

NOT_YET = "No available agent"
AGENT_SECONDS = 90


def submit(
    address: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Submit `command` with `folder` as its working folder, and wait for its end."""
    ray = str(Path(sys.executable).with_name("ray"))
    whole = [ray, "job", "submit", "--address", address, "--working-dir", ".", "--", *command]
    until = time.monotonic() + AGENT_SECONDS
    while True:
        done = subprocess.run(whole, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        if NOT_YET not in done.stdout + done.stderr or time.monotonic() > until:
            return done
        time.sleep(2)
