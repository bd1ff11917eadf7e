"""The learning rate as a function of the step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.train.schedule import Decay, Schedule
from pipeline.workflow.fingerprint import canonical

fractions = st.floats(0, 1)
decays = st.sampled_from(["cosine", "linear", "wsd"])
lengths = st.integers(1, 500)


@given(steps=lengths, warmup=fractions, floor=fractions, decay=decays)
def test_the_rate_rises_to_the_peak_and_then_only_falls(steps: int, warmup: float, floor: float, decay: Decay) -> None:
    schedule = Schedule(peak=0.01, warmup=warmup, floor=floor, decay=decay, cooldown=1 - warmup)
    rates = [schedule.rate(step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.01)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates[top:]) >= 0.01 * floor * (1 - 1e-12), "but for rounding"


@given(floor=fractions, decay=decays)
def test_the_last_step_has_the_floor(floor: float, decay: Decay) -> None:
    assert Schedule(peak=2.0, warmup=0.1, floor=floor, decay=decay).rate(99, 100) == pytest.approx(2.0 * floor)


@given(steps=lengths, more=lengths, warmup=st.floats(0, 0.5), cooldown=st.floats(0, 0.5))
def test_with_wsd_a_longer_run_has_the_same_rates_until_the_shorter_ones_begins_to_fall(
    steps: int, more: int, warmup: float, cooldown: float
) -> None:
    schedule = Schedule(warmup=warmup, decay="wsd", cooldown=cooldown)
    longer, rising = steps + more, schedule.rising(steps + more)
    shared = max(rising, schedule.level(steps) + 1)
    for step in range(min(steps, shared)):
        assert schedule.rate(step, steps, rising) == schedule.rate(step, longer)
    assert all(schedule.rate(step, steps, rising) == schedule.peak for step in range(rising, shared))


def test_with_wsd_the_rate_falls_in_a_straight_line_at_the_end_alone() -> None:
    rates = [Schedule(peak=1.0, warmup=0.2, floor=0.2, decay="wsd", cooldown=0.4).rate(step, 10) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_a_cool_down_that_the_warm_up_leaves_no_room_for_is_refused() -> None:
    with pytest.raises(RequestError, match=r"schedule\.cooldown is 0\.6, with a schedule\.warmup of 0\.5: use fractions .* at most 1"):
        Schedule(warmup=0.5, decay="wsd", cooldown=0.6)


def test_the_cool_down_is_no_word_of_a_recipe_that_has_the_usual_one() -> None:
    assert "cooldown" not in canonical(Schedule())  # type: ignore[operator]


@pytest.mark.parametrize(
    ("field", "value"), [("peak", 0.0), ("peak", float("nan")), ("warmup", 1.5), ("floor", -0.1), ("cooldown", 2.0), ("decay", "steps")]
)
def test_a_wrong_value_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RequestError, match=rf"schedule\.{field}"):
        Schedule(**{field: value})  # type: ignore[arg-type]
