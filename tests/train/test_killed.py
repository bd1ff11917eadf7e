"""A training that is killed again and again ends as one that was not disturbed does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.train.killed import recipe
from tests.train.tiny import weights_of

PROJECT = Path(__file__).parents[2]
STEPS, KILLS, SEED = 1000, 10, 11


def trained(root: Path, step: Any) -> Checkpoint:
    store = open_store(str(root))
    return Checkpoint(store, run([step], store, InlineExecutor()).manifests[step.address])


@pytest.mark.slow
def test_killed_at_random_moments_and_inside_saves_it_ends_in_the_same_losses_and_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    step, root = recipe(STEPS), tmp_path / "killed"
    command = [sys.executable, "-m", "tests.train.killed", str(root), str(STEPS), str(KILLS), str(SEED)]
    told = json.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, timeout=300).stdout)
    assert told["killed"] == KILLS
    assert told["inside"] >= 3
    assert not (root / step.address / "manifest.json").exists(), "killed before it was done"
    undisturbed, killed = trained(tmp_path / "undisturbed", step), trained(root, step)
    assert weights_of(killed.model) == weights_of(undisturbed.model)
    said = ("step", "tokens", "loss", "learning_rate", "gradient_norm", "chain", "validation_loss")
    assert [[row.get(name) for name in said] for row in killed.metrics()] == [
        [row.get(name) for name in said] for row in undisturbed.metrics()
    ]
    assert not list(open_store(str(root)).list(f"{step.address}/work"))
