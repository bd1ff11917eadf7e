"""A law fitted to a few runs: known ones are found again, and noise makes what is foretold less sure."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics.scaling import Law, Runs, drawn, fit_law, foretell, frontier, frontier_line, spread_of

SIZES, RATIOS = (1e5, 3e5, 1e6), (5.0, 15.0, 45.0)
LARGER = (4e6, 8e7)
HOFFMANN = Law(math.log(1.69), math.log(406.4), 0.34, math.log(410.7), 0.28)


def runs_of(law: Law, noise: float = 0.0, seed: int = 0) -> Runs:
    parameters = np.repeat(SIZES, len(RATIOS))
    tokens = parameters * np.tile(RATIOS, len(SIZES))
    off = noise * np.random.default_rng(seed).standard_normal(len(tokens))
    return Runs(parameters, tokens, 6 * parameters * tokens, np.exp(law.log_loss(parameters, tokens) + off))


def loss_of(law: Law, parameters: float, tokens: float) -> float:
    return float(np.exp(law.log_loss(parameters, tokens)))


@st.composite
def laws(draw: st.DrawFn) -> Law:
    """Laws of which every part is to be seen in the runs."""
    rest, alpha, beta = draw(st.floats(0.5, 3)), draw(st.floats(0.2, 0.8)), draw(st.floats(0.2, 0.8))
    of_size, of_data = draw(st.floats(0.5, 3)), draw(st.floats(0.5, 3))
    return Law(math.log(rest), math.log(of_size) + alpha * math.log(3e5), alpha, math.log(of_data) + beta * math.log(4.5e6), beta)


@settings(max_examples=8)
@given(laws())
def test_a_law_without_noise_is_found_again(law: Law) -> None:
    found = fit_law(runs_of(law))
    assert found == pytest.approx(law, rel=1e-3, abs=1e-3)
    assert loss_of(found, *LARGER) == pytest.approx(loss_of(law, *LARGER), rel=1e-4)


def test_the_gradient_leads_to_the_same_place_from_the_law_itself() -> None:
    assert fit_law(runs_of(HOFFMANN), [HOFFMANN]) == pytest.approx(HOFFMANN, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_foretold_of_a_noisy_ladder_holds_the_truth(seed: int) -> None:
    runs = runs_of(HOFFMANN, noise=0.005, seed=seed)
    law = fit_law(runs, [HOFFMANN])
    found = foretell(law, drawn(runs, law, 100), *LARGER)
    assert found.low < loss_of(HOFFMANN, *LARGER) < found.high
    assert found.low < found.loss < found.high


def test_noise_makes_what_is_foretold_less_sure() -> None:
    widths = []
    for noise in (0.001, 0.004, 0.016):
        runs = runs_of(HOFFMANN, noise)
        law = fit_law(runs, [HOFFMANN])
        found = foretell(law, drawn(runs, law, 100), *LARGER)
        widths.append(found.high - found.low)
    assert 2 * widths[0] < widths[1]
    assert 2 * widths[1] < widths[2]


def test_the_same_runs_give_the_same_law_and_the_same_draws() -> None:
    runs = runs_of(HOFFMANN, 0.01)
    law = fit_law(runs)
    assert law == fit_law(runs)
    assert drawn(runs, law, 10) == drawn(runs, law, 10)


def test_the_spread_is_that_of_the_noise() -> None:
    spreads = [spread_of(runs := runs_of(HOFFMANN, 0.01, seed), fit_law(runs, [HOFFMANN])) for seed in range(20)]
    assert 0.005 < float(np.mean(spreads)) < 0.02


def test_the_frontier_is_what_no_cheaper_run_beats() -> None:
    flops, losses = np.array([4.0, 1.0, 2.0, 2.0, 3.0]), np.array([1.0, 5.0, 4.0, 3.0, 3.0])
    assert frontier(Runs(flops, flops, flops, losses)) == [1, 3, 0]


def test_a_power_law_of_the_frontier_is_found_and_none_where_two_runs_are_all_of_it() -> None:
    flops = np.array([1e12, 1e13, 1e14])
    line = frontier_line(Runs(flops, flops, flops, 90 * flops**-0.1))
    assert line is not None
    assert line.exponent == pytest.approx(0.1)
    assert line.loss(1e16) == pytest.approx(90 * 1e16**-0.1)
    assert frontier_line(Runs(flops, flops, flops, np.array([3.0, 2.0, 2.5]))) is None
