"""How loss falls with size and data: a law fitted to a few runs, how sure it is, and what it foretells.

The law is L(N, D) = E + A / N^α + B / D^β, in nats, of N parameters and D tokens, fitted as by Hoffmann and others (2022, arXiv:2203.15556,
approach 3): the sum of Huber losses of the residuals of log L, minimised by L-BFGS from a grid of starts. Residuals are counted in units of
the Huber threshold, since the optimizer's tolerances would else end the search too soon (Besiroglu and others, 2024, arXiv:2404.10102).

A ladder has few runs, of a chosen design, so drawing them again with replacement would often leave no law to be found. What is drawn
again is their noise: normal, and of a spread that is itself as unsure as the residuals leave it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import interval

Floats = NDArray[np.float64]
THRESHOLD = 1e-3
"""Of the Huber loss, in log loss."""
FREE = 5
"""Numbers of the law that are fitted."""
RESAMPLES = 500
SEED = 0
SHARES = (0.1, 0.4, 0.7, 0.95)
HALVES = (0.2, 0.5, 0.8)
EXPONENTS = (0.1, 0.3, 0.6, 1.2)
"""The grid of starts: E's share of the mean loss, the share of size in the rest, and both exponents."""
EXPONENT_BOUNDS = (0.01, 4.0)
LEAST_SHARE = 1e-4
"""No part of the law is a smaller share of the mean loss, in the middle of the runs."""
FRONTIER_RUNS = 3
"""A line through fewer says nothing about itself."""


@dataclass(frozen=True)
class Runs:
    """What was trained: parameters, tokens, FLOPs and held-out loss of each run, all [runs]."""

    parameters: Floats
    tokens: Floats
    flops: Floats
    losses: Floats

    def with_losses(self, losses: Floats) -> "Runs":
        return Runs(self.parameters, self.tokens, self.flops, losses)


class Law(NamedTuple):
    """L(N, D) = E + A / N^α + B / D^β, with the logarithms of E, A and B: A and B may be very large."""

    log_e: float
    log_a: float
    alpha: float
    log_b: float
    beta: float

    def log_loss(self, parameters: Floats | float, tokens: Floats | float) -> Floats:
        """The logarithm of the loss, of the shape of what is asked for."""
        of_size = self.log_a - self.alpha * np.log(parameters)
        of_data = self.log_b - self.beta * np.log(tokens)
        found: Floats = np.logaddexp(np.logaddexp(self.log_e, of_size), of_data)
        return found

    @property
    def size_exponent(self) -> float:
        """The power of compute by which the best size grows, where FLOPs go with N · D; tokens have the rest of it."""
        return self.beta / (self.alpha + self.beta)


@dataclass(frozen=True)
class Drawn:
    """What the noise may have hidden: a law, the noise of one more run in log loss, and the frontier's exponent (NaN for none)."""

    law: Law
    noise: float
    exponent: float


def fit_law(runs: Runs, starts: Sequence[Law] | None = None) -> Law:
    """The law nearest to the runs; `starts` are where to look, None for the whole grid."""
    from scipy.optimize import minimize

    size, data = np.log(runs.parameters), np.log(runs.tokens)
    middle = float(size.mean()), float(data.mean())
    log_losses = np.log(runs.losses)
    part = (float(np.log(runs.losses.mean() * LEAST_SHARE)), float(log_losses.max()) + 1)
    bounds = np.array([part, part, EXPONENT_BOUNDS, part, EXPONENT_BOUNDS])
    begins = _grid(float(runs.losses.mean())) if starts is None else [_centred(law, *middle) for law in starts]
    with _linear_algebra().limit(limits=1, user_api="blas"):  # a second thread takes longer to wake than ten unknowns to solve
        found = [
            minimize(
                _misfit,
                np.clip(start, bounds[:, 0], bounds[:, 1]),
                args=(size - middle[0], data - middle[1], log_losses),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9},
            )
            for start in begins
        ]
    e, a, alpha, b, beta = map(float, min(found, key=lambda result: float(result.fun)).x)
    return Law(e, a + alpha * middle[0], alpha, b + beta * middle[1], beta)


@cache
def _linear_algebra() -> Any:
    """The libraries that SciPy has loaded for it."""
    import scipy.optimize  # noqa: F401 - a library that is loaded later is not seen
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _misfit(free: Floats, size: Floats, data: Floats, log_losses: Floats) -> tuple[float, Floats]:
    """The objective and its gradient; A and B are counted in the middle of the runs, where they are least entangled with exponents."""
    e, a, alpha, b, beta = free
    parts = np.stack([np.full_like(size, e), a - alpha * size, b - beta * data])
    told = np.logaddexp.reduce(parts)
    shares = np.exp(parts - told)
    off = (told - log_losses) / THRESHOLD
    huber = np.where(np.abs(off) <= 1, off**2 / 2, np.abs(off) - 0.5)
    slope = np.clip(off, -1, 1) / THRESHOLD
    each = np.stack([shares[0], shares[1], -shares[1] * size, shares[2], -shares[2] * data])
    return float(huber.sum()), each @ slope


def _grid(loss: float) -> Iterator[Floats]:
    for share, half, alpha, beta in product(SHARES, HALVES, EXPONENTS, EXPONENTS):
        rest = (1 - share) * loss
        yield np.array([np.log(share * loss), np.log(half * rest), alpha, np.log((1 - half) * rest), beta])


def _centred(law: Law, size: float, data: float) -> Floats:
    return np.array([law.log_e, law.log_a - law.alpha * size, law.alpha, law.log_b - law.beta * data, law.beta])


def spread_of(runs: Runs, law: Law) -> float:
    """The standard deviation of the runs' noise in log loss, as far as the residuals tell."""
    off = np.log(runs.losses) - law.log_loss(runs.parameters, runs.tokens)
    return float(np.sqrt((off**2).sum() / (len(off) - FREE)))


def drawn(runs: Runs, law: Law, resamples: int = RESAMPLES) -> list[Drawn]:
    """Laws fitted to what the law says with new noise each time (a parametric bootstrap). At least six runs are needed."""
    random = np.random.default_rng(SEED)
    left = len(runs.losses) - FREE
    told, spread = law.log_loss(runs.parameters, runs.tokens), spread_of(runs, law)
    found = []
    for _ in range(resamples):
        noise = spread * np.sqrt(left / random.chisquare(left)) * random.standard_normal(len(told) + 1)
        again = runs.with_losses(np.exp(told + noise[:-1]))
        line = frontier_line(again)
        found.append(Drawn(fit_law(again, [law]), float(noise[-1]), np.nan if line is None else line.exponent))
    return found


class Line(NamedTuple):
    """L = k · C^-γ, with the logarithm of k, of C FLOPs."""

    log_k: float
    exponent: float

    def loss(self, flops: float) -> float:
        return float(np.exp(self.log_k - self.exponent * np.log(flops)))


def frontier(runs: Runs) -> list[int]:
    """The places of the runs that no cheaper one beats, cheapest first."""
    best, found = np.inf, []
    for place in map(int, np.lexsort((runs.losses, runs.flops))):
        if runs.losses[place] < best:
            best = float(runs.losses[place])
            found.append(place)
    return found


def frontier_line(runs: Runs) -> Line | None:
    """The power law through the frontier, by least squares of logarithms; None where it has too few runs."""
    places = frontier(runs)
    if len(places) < FRONTIER_RUNS:
        return None
    cost, losses = np.log(runs.flops[places]), np.log(runs.losses[places])
    away = cost - cost.mean()
    slope = float(away @ losses / (away @ away))
    return Line(float(losses.mean() - slope * cost.mean()), -slope)


class Foretold(NamedTuple):
    """The loss that a run would have, and the 95 % interval of one that is trained once."""

    loss: float
    low: float
    high: float


def foretell(law: Law, draws: Sequence[Drawn], parameters: float, tokens: float) -> Foretold:
    """The loss of a run of so many parameters and tokens."""
    low, high = interval(np.array([np.exp(each.law.log_loss(parameters, tokens) + each.noise) for each in draws]))
    return Foretold(float(np.exp(law.log_loss(parameters, tokens))), low, high)
