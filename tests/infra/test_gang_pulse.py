"""A gang that stands still is told from one that takes its time."""

import pytest

from infra.gang_pulse import Pulse
from pipeline.train.stepwise import LOOKING


def beaten(times: list[float], steps: int = 1000, seconds: float = 1.0) -> Pulse:
    pulse = Pulse(seconds=seconds)
    for step, now in enumerate(times, start=1):
        pulse.beat({"step": step, "steps": steps}, now)
    return pulse


def test_a_silence_is_too_long_beside_those_before_and_beside_the_least() -> None:
    pulse = beaten([0.0, 1.0, 2.0, 3.0], seconds=5)
    assert pulse.too_long(13.0) is None
    assert pulse.too_long(13.1) == pytest.approx(10.1)
    assert beaten([0.0, 0.1, 0.2], seconds=5).too_long(5.1) is None


def test_what_one_silence_in_a_hundred_exceeds_is_usual() -> None:
    once, twice = [float(number) for number in range(99)], [float(number) for number in range(98)]
    once.append(once[-1] + 50)
    twice += [twice[-1] + 50, twice[-1] + 100]
    assert beaten(once).usual == 50.0  # the 99th percentile of 99 is the greatest
    assert beaten([*twice, *(twice[-1] + number for number in range(1, 200))]).usual == 1.0


def test_nothing_is_expected_before_the_first_step_and_after_the_last() -> None:
    assert Pulse(seconds=1).too_long(1e9) is None
    assert beaten([0.0, 1.0, 2.0], steps=3, seconds=1).too_long(1e9) is None
    pulse = beaten([0.0, 1.0], seconds=1)
    pulse.stop()
    assert pulse.too_long(1e9) is None
    pulse.beat({"step": 3, "steps": 1000}, 500.0)
    assert list(pulse.silences) == [1.0]


def test_nothing_is_expected_while_it_looks_at_something() -> None:
    pulse = beaten([0.0, 1.0], seconds=1)
    pulse.beat({"step": 3, "steps": 1000, LOOKING: "at examples"}, 2.0)
    assert pulse.too_long(1e9) is None
    pulse.beat({"step": 3, "steps": 1000}, 500.0)
    assert list(pulse.silences) == [1.0, 1.0], "the look is none of them"
    assert pulse.too_long(600.0) == 100.0


def test_work_that_says_nothing_of_steps_is_not_watched() -> None:
    pulse = Pulse(seconds=1)
    pulse.beat({"number": 3}, 0.0)
    assert pulse.too_long(1e9) is None
