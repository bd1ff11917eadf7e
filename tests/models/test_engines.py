"""Every ZeRO stage on two processes trains GPT-2, a mixture and an LSTM as plain PyTorch does."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.members import ENGINES, FAMILIES, SIZE

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]
CASES = [(family, engine) for family in FAMILIES for engine in ENGINES]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the first of two members saw. A gang that hangs is ended by the time that it has."""
    folder = tmp_path_factory.mktemp("members")
    variables = {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "tests.models.members"]
    gang = [
        subprocess.Popen(
            [*command, str(rank), str(folder)],
            cwd=PROJECT,
            env={**variables, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(SIZE)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(SIZE)
    ]
    try:
        ended = [(member.communicate(timeout=300)[1], member.returncode) for member in gang]
    finally:
        for member in gang:
            member.kill()
    assert [code for _, code in ended] == [0] * SIZE, ended[0][0][-2000:]
    found: Mapping[str, Any] = json.loads((folder / "0.json").read_text())
    return found


@pytest.mark.parametrize(("family", "engine"), CASES)
def test_a_stage_gives_the_losses_norms_and_weights_of_plain_pytorch(family: str, engine: str, told: Mapping[str, Any]) -> None:
    from torch import tensor, testing

    found, plain = told[f"{family} {engine}"], told[f"{family} plain"]
    testing.assert_close(tensor(found["rows"]), tensor(plain["rows"]), atol=1e-5, rtol=0)
    assert found["weights"].keys() == plain["weights"].keys()
    for name, weight in plain["weights"].items():
        testing.assert_close(tensor(found["weights"][name]), tensor(weight), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("family", "engine"), CASES)
def test_a_gang_goes_on_bit_for_bit_from_what_it_saved(family: str, engine: str, told: Mapping[str, Any]) -> None:
    assert told[f"{family} {engine}"]["resumed"]
