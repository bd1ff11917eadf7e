"""A copy of an engine's state is written in the bytes of a save, whatever the engine has done since."""

from pathlib import Path
from typing import Any

import pytest

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from tests.infra.nets import started, train
from tests.infra.test_deepspeed import ME, UPDATES


@pytest.mark.parametrize("zero", STAGES)
def test_a_copy_under_every_stage_holds_what_was_there_when_it_was_made(zero: Any, tmp_path: Path) -> None:
    engine = started(DeepSpeedEngines(zero=zero), UPDATES["fp32"], ME)
    train(engine, ME, steps=3)
    (saved := tmp_path / "saved").mkdir()
    (copied := tmp_path / "copied").mkdir()
    engine.save(saved)
    write = engine.copied()
    train(engine, ME, first=3, steps=6)
    write(copied)
    assert {place.name: place.read_bytes() for place in copied.iterdir()} == {place.name: place.read_bytes() for place in saved.iterdir()}
