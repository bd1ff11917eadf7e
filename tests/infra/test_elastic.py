"""Training across several nodes: one that dies takes its worker along, and training goes on with fewer, and with more when one joins."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.storage import open_store
from pipeline.train.checkpoint import METRICS, Checkpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.infra.elastic import COURSE, STEPS, elastic
from tests.jobs.head import Head, kill_session, ray_head, ray_node
from tests.jobs.running import PROJECT
from tests.train.tiny import pretrain

pytestmark = pytest.mark.slow
SECONDS = 120


@pytest.fixture
def head(short_folder: Path) -> Iterator[Head]:
    """A head that asks for a token, without cores of its own."""
    with ray_head(short_folder, cores=0, address="127.0.0.5") as started:
        yield started


def until(there: Callable[[], bool], driver: "subprocess.Popen[bytes]", said: Path) -> None:
    end = time.monotonic() + SECONDS
    while not there():
        assert driver.poll() is None, said.read_text()
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.1)


NOTICE = """
import subprocess, sys, ray
address, doomed = sys.argv[1:]
ray.init(address=address, logging_level="ERROR")
(node,) = [node["NodeID"] for node in ray.nodes() if node["NodeManagerAddress"] == doomed]
words = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot", "--deadline-remaining-seconds=600"]
subprocess.run([sys.executable, "-m", "ray.scripts.scripts", "drain-node", f"--address={address}", f"--node-id={node}", *words], check=True)
"""


@pytest.mark.parametrize("notice", [False, True], ids=["without a word", "with notice"])
def test_training_outlives_a_node_with_fewer_workers_and_takes_more_when_one_joins(
    notice: bool, head: Head, short_folder: Path, tmp_path: Path
) -> None:
    root, said = tmp_path / "root", tmp_path / "said"
    store = open_store(str(root))
    run([part.tokens for part in elastic(2).mixture], store, InlineExecutor())

    def steps() -> list[int]:
        return [int(line) for line in said.read_text().splitlines() if line.isdecimal()]

    command = [sys.executable, "-m", "tests.infra.elastic", head.address, str(root), "2"]
    least = 40
    with ExitStack() as nodes, said.open("w") as file:
        nodes.enter_context(ray_node(head, short_folder, "127.0.0.2", cores=1))
        doomed = nodes.enter_context(ray_node(head, short_folder, "127.0.0.3", cores=1))
        driver = subprocess.Popen(command, cwd=PROJECT, env=head.environment, stdout=file, stderr=file)
        try:
            until(lambda: max(steps(), default=0) > 45, driver, said)
            if notice:
                subprocess.run([sys.executable, "-c", NOTICE, head.address, "127.0.0.3"], env=head.environment, check=True)
                until(lambda: any(step % 20 for step in saved(root)), driver, said)
                least = max(saved(root))
            kill_session(doomed)
            until(lambda: "goes on with 1 processes instead of 2" in said.read_text(), driver, said)
            reached = len(steps())
            until(lambda: len(steps()) > reached, driver, said)
            nodes.enter_context(ray_node(head, short_folder, "127.0.0.4", cores=1))
            until(lambda: "goes on with 2 processes instead of 1" in said.read_text(), driver, said)
            assert driver.wait(SECONDS) == 0, said.read_text()
        finally:
            driver.kill()
            driver.wait()
    trained = open_artifact(store, elastic(2))
    assert trained.facts["workers"] == 2
    assert steps()[reached] >= least, "at most the steps since the last save are done again"
    assert_equal_course(trained, tmp_path / "alone")


def saved(root: Path) -> list[int]:
    """The steps of whole checkpoints."""
    return [int(path.parent.name.split("-")[1]) for path in root.glob("pretrain/*/work/checkpoints/*/step-*/manifest.json")]


def assert_equal_course(trained: Checkpoint, root: Path) -> None:
    """The same batches as one undisturbed process has, step by step, and the same losses within rounding."""
    store = open_store(str(root))
    alone = pretrain(STEPS, **COURSE)
    run([alone], store, InlineExecutor())
    expected = open_artifact(store, alone)
    assert trained.facts["batches"] == expected.facts["batches"]
    for row, lone in zip(rows_of(trained), rows_of(expected), strict=True):
        assert (row["step"], row["chain"]) == (lone["step"], lone["chain"])
        assert row["loss"] == pytest.approx(lone["loss"], rel=1e-4)


def rows_of(checkpoint: Checkpoint) -> list[dict[str, float]]:
    (entry,) = checkpoint.files(METRICS)
    return [json.loads(line) for line in checkpoint.local(entry).read_text().splitlines()]
