"""States that are held in the machine's memory are those of a run that holds them with the model; `test_layouts.py` has gangs of them."""

from pathlib import Path
from typing import Any

import pytest

from infra.deepspeed_engine import DeepSpeedEngines
from jobs.recipe import Compute, engines_of
from pipeline.errors import RequestError
from pipeline.train.engine import Update
from tests.infra.nets import batch, farthest, resumed, started, train
from tests.train.tiny import Lone

ME = Lone()
STAGES: tuple[Any, ...] = (1, 2, 3)
each = pytest.mark.parametrize("zero", STAGES)


@each
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_losses_and_weights_are_those_of_a_run_without(zero: Any, clip: float) -> None:
    engines = [started(DeepSpeedEngines(zero=zero, offload=place), Update(clip=clip), ME) for place in ("none", "cpu")]
    expected, found = (train(engine, ME) for engine in engines)
    assert found == [pytest.approx(row, abs=1e-6) for row in expected]  # the squares of a norm are added in another order
    if not clip:  # by the norm
        assert [loss for loss, _ in found] == [loss for loss, _ in expected]
        assert farthest(*(engine.weights() for engine in engines)) == 0


@each
@pytest.mark.parametrize(("left", "opened"), [("cpu", "cpu"), ("cpu", "none"), ("none", "cpu")])
def test_what_was_saved_goes_on_with_it_and_without(tmp_path: Path, zero: Any, left: Any, opened: Any) -> None:
    expected = train(started(undisturbed := DeepSpeedEngines(zero=zero, offload=opened), Update(), ME), ME)
    engine = started(DeepSpeedEngines(zero=zero, offload=left), Update(), ME)
    train(engine, ME, 0, 10)
    write = engine.copied()
    train(engine, ME, 10, 12)
    write(tmp_path)
    found = train(resumed(undisturbed, Update(), ME, tmp_path), ME, 10)
    if left == opened:
        assert found == expected[10:]
    else:
        assert found == [pytest.approx(row, abs=1e-6) for row in expected[10:]]


@each
def test_a_step_that_is_dropped_changes_no_weight(zero: Any) -> None:
    engine = started(DeepSpeedEngines(zero=zero, offload="cpu"), Update(), ME)
    train(engine, ME, 0, 3)
    before = engine.weights()
    for micro in range(2):
        engine.backward(engine.loss(*batch(3, micro, ME)))
    engine.drop()
    assert farthest(before, engine.weights()) == 0


@each
def test_what_is_offloaded_is_taken_off_the_device(zero: Any) -> None:
    kept, offloaded = (DeepSpeedEngines(zero=zero, offload=place).holding(1_000_000, 2) for place in ("none", "cpu"))
    assert kept.host == offloaded.moments == 0
    assert offloaded.weights + offloaded.gradients < kept.weights + kept.gradients
    assert offloaded.host >= kept.moments + (kept.weights - offloaded.weights)


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (Compute(engine="plain", offload="cpu"), "--compute.offload is cpu, which DeepSpeed alone can: use --compute.engine deepspeed"),
        (Compute(zero=0, offload="cpu"), "offload is cpu, and zero 0 shares nothing out that could be held elsewhere: use zero 1, 2 or 3"),
    ],
)
def test_what_cannot_be_offloaded_is_refused_with_the_remedy(compute: Compute, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        engines_of(compute)
