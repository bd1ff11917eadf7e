"""Every ZeRO stage on two processes trains GPT-2, a mixture and an LSTM as plain PyTorch does."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.models.members import ENGINES, FAMILIES, SIZE
from tests.train.processes import run_members

pytestmark = pytest.mark.slow
CASES = [(family, engine) for family in FAMILIES for engine in ENGINES]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the first of two members saw."""
    folder = tmp_path_factory.mktemp("members")
    run_members(SIZE, "tests.models.members", lambda rank: [str(rank), str(folder)])
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
