"""A gang whose batches poison its model passes over the same steps in every member, under plain PyTorch and under ZeRO."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.batches.order import Order
from pipeline.storage import open_store
from pipeline.train.engine import Engines
from pipeline.train.plain import PlainEngines
from pipeline.train.watch import PASSED
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.infra.nets import ACCUMULATION, STEPS, batch, farthest, started, train
from tests.infra.test_deepspeed import ME, UPDATES
from tests.infra.watched import ENGINES, RUNS, recipe
from tests.infra.watched import STEPS as RUN_STEPS
from tests.train.poisoned import Poison, poison_of
from tests.train.tiny import pretrain, tokens, weights_of

PROJECT = Path(__file__).parents[2]
VARIABLES = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
ALL: dict[str, Engines] = {"plain": PlainEngines()} | {f"zero-{stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}


@pytest.mark.parametrize("engines", ALL.values(), ids=ALL.keys())
@pytest.mark.parametrize("factor", [float("nan"), 1e3])
def test_gradients_that_are_dropped_leave_no_mark(engines: Engines, factor: float) -> None:
    undisturbed, dropped = (started(engines, UPDATES["fp32"], ME) for _ in range(2))
    train(undisturbed, ME, steps=STEPS // 2)
    train(dropped, ME, steps=STEPS // 2)
    for micro in range(ACCUMULATION):
        dropped.backward(dropped.loss(*(part.to(dropped.device) for part in batch(0, micro, ME))) * factor)
    dropped.drop()
    assert torch.equal(torch.tensor(train(dropped, ME, first=STEPS // 2)), torch.tensor(train(undisturbed, ME, first=STEPS // 2)))
    assert farthest(dropped.weights(), undisturbed.weights()) == 0.0


@pytest.mark.parametrize("engines", ALL.values(), ids=ALL.keys())
def test_what_was_saved_before_the_first_update_is_gone_back_to(engines: Engines, tmp_path: Path) -> None:
    engine = started(engines, UPDATES["fp32"], ME)
    engine.save(tmp_path)
    expected = train(engine, ME)
    engine.load(tmp_path)
    assert train(engine, ME) == expected


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Poison]:
    """The roots in which two members trained."""
    folder = tmp_path_factory.mktemp("watched")
    store = open_store(str(folder / "tokens"))
    run([tokens()], store, InlineExecutor())
    poison = poison_of(Order(pretrain().mixture, [open_artifact(store, tokens())], 32, 4, 0), RUN_STEPS, range(6, 15))
    for root in (f"{engine}-{name}" for engine in ENGINES for name in RUNS):
        copytree(folder / "tokens", folder / root)
    members = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.infra.watched", str(rank), "2", str(folder), json.dumps(poison.words)],
            cwd=PROJECT,
            env={**os.environ, **VARIABLES},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        words = [(member.communicate(timeout=300)[1], member.returncode) for member in members]
    finally:
        for member in members:
            member.kill()
    assert [code for _, code in words] == [0, 0], [said[-2000:] for said, _ in words]
    return folder, poison


def finished(folder: Path, engine: str, name: str, poison: Poison) -> tuple[bytes, list[dict[str, Any]]]:
    root = folder / f"{engine}-{name}" / recipe(engine, RUNS[name][0], poison.words, 2).address
    (metrics,), (model,) = (root / "metrics").iterdir(), (root / "model").iterdir()
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return weights_of(model), [
        {name: row[name] for name in row if name not in ("seconds", "tokens_per_second", "mfu", "economy")} for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_gang_that_is_interrupted_among_poisoned_batches_ends_in_the_same_bytes(ended: tuple[Path, Poison], engine: str) -> None:
    folder, poison = ended
    weights, rows = finished(folder, engine, "undisturbed", poison)
    assert [row["step"] - 1 for row in rows if PASSED in row] == poison.steps
    for name in ("skip", "rewind"):
        assert finished(folder, engine, name, poison) == (weights, rows)
