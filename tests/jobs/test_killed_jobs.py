"""What uses a checkpoint, killed again and again: the same command ends in the same files, and none is ever half there."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.jobs.running import PROJECT, environment, job
from tests.train.tiny import pretrain

KILLS = 3
Bytes = dict[str, bytes]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root that holds a checkpoint, with notes, and with prompts."""
    folder = tmp_path_factory.mktemp("place")
    run([pretrain(steps=3)], open_store(str(folder / "runs")), InlineExecutor())
    (folder / "notes").mkdir()
    for number in range(30):
        (folder / f"notes/{number}.txt").write_text(f"The fox number {number} sang of the river. " * number)
    (folder / "prompts.txt").write_text("".join(f"The fox number {number}\n" for number in range(60)))
    return folder


def files_of(folder: Path, pattern: str) -> Bytes:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}


COMMANDS: dict[str, tuple[str, ...]] = {
    "evaluate": ("--checkpoint", "copied", "--sources", "notes", "--tasks", "perplexity", "--cluster", "none"),
    "embed": ("--sources", "notes", "--cluster", "none"),
    "generate": ("--prompts", "prompts.txt", "--output", "texts.jsonl"),
    "export": ("--cluster", "none"),
}
LEFT: dict[str, Callable[[Path], Bytes]] = {
    "evaluate": lambda folder: files_of(folder, "runs/evaluate/*/answers/*"),
    "embed": lambda folder: files_of(folder, "runs/embed/*/vectors/*"),
    "generate": lambda folder: files_of(folder, "texts.jsonl"),
    "export": lambda folder: files_of(folder, "runs/hub-folder/*/hub/**/*"),
}


def begun(place: Path, folder: Path) -> Path:
    """A copy of the place, with the checkpoint as a folder too."""
    shutil.copytree(place, folder)
    (model,) = folder.glob("runs/pretrain/*/model/*")
    shutil.copytree(model, folder / "copied")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_job_that_is_killed_again_and_again_leaves_the_same_files(name: str, place: Path, tmp_path: Path) -> None:
    whole, killed = (begun(place, tmp_path / which) for which in ("whole", "killed"))
    start = time.monotonic()
    assert job(name, *COMMANDS[name], "--json", folder=whole).result
    longest = time.monotonic() - start
    expected, moments, kills = LEFT[name](whole), random.Random(name), 0
    assert expected
    command = [sys.executable, str(PROJECT / f"jobs/{name}.py"), *COMMANDS[name]]
    for _ in range(KILLS):
        with subprocess.Popen(command, cwd=killed, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            try:
                running.wait(moments.uniform(0.4, 1) * longest)
            except subprocess.TimeoutExpired:
                kills += 1
            running.kill()
        assert LEFT[name](killed).items() <= expected.items(), "a file under its own name is whole"
    assert kills
    assert job(name, *COMMANDS[name], "--json", folder=killed).result
    assert LEFT[name](killed) == expected
