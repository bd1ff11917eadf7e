"""Against a running Ray head: the same bytes as in one process, whoever is killed; and jobs that are submitted."""

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.head import Head, ray_head
from tests.jobs.running import PROJECT, environment, job
from tests.submission import submit

TRIES = 20


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets need short paths
    try:
        with ray_head(folder, cores=3) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files, enough to be read as several partitions; every seventh document is a near copy, a few are bad."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(7)
    words = [f"{draw.choice('bcdfgklmnprst')}{draw.choice('aeiou')}{draw.randrange(100)}" for _ in range(3000)]
    previous = ""
    for number in range(12):
        lines = []
        for place in range(60):
            text = " ".join(draw.choices(words, k=300))
            if place % 7 == 6:
                text = previous.replace(" ", "  ", 1) + " and a little more"
            previous = text
            lines.append(json.dumps({"text": text}) if place % 29 else "{broken")
        (folder / f"{number:02}.jsonl").write_text("\n".join(lines))
    return folder


def arguments(corpus: Path, root: Path, *more: str) -> list[str]:
    return ["tiny", "--sources", str(corpus), "--root", str(root), "--json", *more]


def contents(root: Path) -> dict[str, str]:
    """Every file that a manifest names, with its digest as it lies there; and the counts."""
    found = {}
    for place in sorted(root.glob("*/*/manifest.json")):
        manifest = json.loads(place.read_text())
        found[f"{manifest['step']} facts"] = json.dumps(manifest["facts"], sort_keys=True)
        for entry in manifest["files"]:
            data = (place.parent / entry["path"]).read_bytes()
            found[f"{manifest['step']}/{manifest['fingerprint']}/{entry['path']}"] = hashlib.sha256(data).hexdigest()
    return found


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process makes of it, undisturbed."""
    root = tmp_path_factory.mktemp("alone")
    documents = job("corpus", *arguments(corpus, root, "--cluster", "none")).result["documents"]
    assert documents["read"] == documents["kept"] + sum(documents["dropped"].values()) == 720
    assert documents["dropped"]["deduplicate/near-duplicate"] > 50
    return contents(root)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_corpus_is_the_same_bytes_on_any_number_of_workers(
    workers: int, head: Head, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    done = job("corpus", *arguments(corpus, tmp_path, "--cluster", head.address, "--workers", str(workers)), **head.environment)
    assert done.result["documents"]["read"] == 720
    assert contents(tmp_path) == expected


@pytest.mark.slow
def test_whoever_is_killed_the_same_command_ends_in_the_same_bytes(
    head: Head, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    draw = random.Random(20)
    kills = {"driver": 0, "worker": 0}
    root, attempt = tmp_path / "0", 0
    command = [sys.executable, str(PROJECT / "jobs/corpus.py")]
    while sum(kills.values()) < TRIES:
        run = [*command, *arguments(corpus, root, "--cluster", head.address)]
        with subprocess.Popen(run, env=environment(**head.environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
            if draw.random() < 0.5:
                time.sleep(draw.uniform(1.5, 7.0))
                if driver.poll() is None:
                    driver.send_signal(signal.SIGKILL)
                    kills["driver"] += 1
            else:
                kills["worker"] += kill_a_worker(head, driver, draw)
            code = driver.wait(120)
        if code == 0:  # it came to its end all the same: compare, and begin with a new root
            assert contents(root) == expected
            attempt += 1
            root = tmp_path / str(attempt)
    job("corpus", *arguments(corpus, root, "--cluster", head.address), **head.environment)
    assert contents(root) == expected
    assert min(kills.values()) >= 3


def kill_a_worker(head: Head, driver: "subprocess.Popen[bytes]", draw: random.Random) -> int:
    """Kill a process that does a unit of work, at some moment; returns how many were killed."""
    time.sleep(draw.uniform(0.5, 3.0))
    while driver.poll() is None:
        for worker in head.workers()[:1]:
            subprocess.run(["kill", "-9", str(worker)], check=False, capture_output=True)
            return 1
        time.sleep(0.02)
    return 0


@pytest.mark.slow
def test_a_submitted_job_trains_on_the_cluster_that_it_runs_in(head: Head, corpus: Path, tmp_path: Path) -> None:
    run = [sys.executable, "jobs/pretrain.py", "tiny", "--sources", str(corpus), "--root", str(tmp_path / "root")]
    done = submit(head.jobs, run, PROJECT, environment(**head.environment))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert (tmp_path / "root" / "pretrain").is_dir()
    assert re.search(r"bits per byte", done.stdout)


def test_the_working_folder_that_is_submitted_is_small() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    size = sum((PROJECT / name).stat().st_size for name in listed if name and (PROJECT / name).is_file())
    assert size < 5_000_000, "ray job submit uploads the working folder: keep data and results out of it"
