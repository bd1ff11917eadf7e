"""The learning rate as a function of the step."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.train.schedule import Schedule

fractions = st.floats(0, 1)
decays = st.sampled_from(["cosine", "linear"])


@given(steps=st.integers(1, 500), warmup=fractions, floor=fractions, decay=decays)
def test_the_rate_rises_to_the_peak_and_then_only_falls(
    steps: int, warmup: float, floor: float, decay: Literal["cosine", "linear"]
) -> None:
    schedule = Schedule(peak=0.01, warmup=warmup, floor=floor, decay=decay)
    rates = [schedule.rate(step, steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.01)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates[top:]) >= 0.01 * floor


@given(floor=fractions, decay=decays)
def test_the_last_step_has_the_floor(floor: float, decay: Literal["cosine", "linear"]) -> None:
    assert Schedule(peak=2.0, warmup=0.1, floor=floor, decay=decay).rate(99, 100) == pytest.approx(2.0 * floor)


@pytest.mark.parametrize(("field", "value"), [("peak", 0.0), ("peak", float("nan")), ("warmup", 1.5), ("floor", -0.1), ("decay", "steps")])
def test_a_wrong_value_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RequestError, match=rf"schedule\.{field}"):
        Schedule(**{field: value})  # type: ignore[arg-type]
