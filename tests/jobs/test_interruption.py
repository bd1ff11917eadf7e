"""A job that is told to end says how it goes on, and ends with the exit code for that, with a Ray of its own as well."""

import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.jobs.running import PROJECT, environment


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_told_to_end_says_how_it_goes_on(sent: signal.Signals, tmp_path: Path) -> None:
    sources = f"{sysconfig.get_path('stdlib')}/asyncio"
    arguments = ["tiny", "--sources", sources, "--validation", "0.3", "--token-budget", "50000000"]
    command = [sys.executable, str(PROJECT / "jobs/pretrain.py"), *arguments, "--compute.engine", "plain"]
    said = tmp_path / "said"
    with said.open("w") as file, subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=file, stderr=file) as running:
        until = time.monotonic() + 120
        while "step" not in said.read_text() and time.monotonic() < until and running.poll() is None:
            time.sleep(0.2)
        running.send_signal(sent)
        code = running.wait(60)
    assert "interrupted: the same command goes on from here" in said.read_text()
    assert code == 130
