"""A ladder of small runs of one recipe, and the law that their held-out losses follow: what a larger run would come to."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.errors import RequestError, RunError
from pipeline.evaluate.evaluate import Evaluate
from pipeline.metrics.bootstrap import interval
from pipeline.metrics.scaling import FREE, Drawn, Foretold, Law, Runs, drawn, fit_law, foretell, frontier, frontier_line, spread_of
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

DRAWS = "draws"
LEAST_SIZES = LEAST_BUDGETS = 3
LEAST_RUNS = FREE + 2
"""Two more than the law has numbers, so that there are residuals to judge the noise by."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A run, and its loss on documents that none of the runs saw: the same ones for all, which a run's own looks are not."""

    checkpoint: Pretrain
    evaluation: Evaluate


class Ladder(Artifact):
    """A fitted law, as its facts tell it, and what noise may have hidden of it."""

    @property
    def law(self) -> Law:
        told = self.facts["law"]
        return Law(math.log(told["E"]), told["log_A"], told["alpha"], told["log_B"], told["beta"])

    def foretell(self, parameters: int, tokens: int) -> Foretold:
        """The held-out loss that a run would have, with the 95 % interval of one that is trained once."""
        return foretell(self.law, self._draws(), parameters, tokens)

    def _draws(self) -> list[Drawn]:
        (entry,) = self.files(DRAWS)
        rows = (json.loads(line) for line in self.local(entry).read_text().splitlines())
        return [Drawn(Law(*row["law"]), row["noise"], math.nan if row["exponent"] is None else row["exponent"]) for row in rows]


@dataclass(frozen=True, kw_only=True)
class FitLadder(Step[Ladder]):
    """Fit L(N, D) = E + A / N^α + B / D^β to the held-out losses of a ladder's runs (see `pipeline/metrics/scaling.py`), and
    L = k / C^γ to those of them that no cheaper run beats.

    N counts all parameters; C are the FLOPs that the architecture counts, forward and backward.

    Facts: `points`, [{"checkpoint", "parameters", "tokens", "flops", "loss", "low", "high", "fitted"}]; `law` {"E", "log_A", "alpha",
    "log_B", "beta"}; `optimal` {"parameters", "tokens"}, the powers of compute by which each should grow; `frontier` {"log_k",
    "exponent", "checkpoints"} or None; `spread`, the deviation of one run's noise in log loss. What is no logarithm has its 95 %
    interval beside it, as NAME_low and NAME_high.
    """

    artifact: ClassVar[type[Artifact]] = Ladder
    rungs: tuple[Rung, ...]
    task: str = "perplexity"
    """Whose loss is fitted."""

    def __post_init__(self) -> None:
        runs = [rung.checkpoint for rung in self.rungs]
        sizes, budgets = {run.model for run in runs}, {run.steps * run.batch * run.context for run in runs}
        if len(sizes) < LEAST_SIZES:
            raise RequestError(f"the ladder has {len(sizes)} sizes, and a law takes {LEAST_SIZES} to be seen: give more --sizes")
        if len(budgets) < LEAST_BUDGETS:
            raise RequestError(
                f"the ladder has {len(budgets)} token budgets, and a law takes {LEAST_BUDGETS} to be seen: give more --budgets"
            )
        if len(runs) < LEAST_RUNS:
            raise RequestError(
                f"the ladder has {len(runs)} runs, and a law of {FREE} numbers takes {LEAST_RUNS}: give more --sizes or --budgets"
            )

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.fit, (None,))
        return receipt.facts

    def fit(self, unit: Unit, _: None) -> Facts:
        """One unit: the fits take seconds, and each draw's begins where the first one ended."""
        points = [self._point(unit, rung) for rung in self.rungs]
        runs = runs_of(points)
        law = fit_law(runs)
        draws = drawn(runs, law)
        rows = [{"law": each.law, "noise": each.noise, "exponent": _finite(each.exponent)} for each in draws]
        unit.write(DRAWS, "".join(json.dumps(row) + "\n" for row in rows).encode(), ".jsonl", len(rows))
        fitted = map(math.exp, law.log_loss(runs.parameters, runs.tokens))
        return {
            "points": [{**point, "fitted": loss} for point, loss in zip(points, fitted, strict=True)],
            "law": _law_facts(law, draws),
            "optimal": _optimal_facts(law, draws),
            "frontier": _frontier_facts(runs, points, draws),
            "spread": spread_of(runs, law),
        }

    def _point(self, unit: Unit, rung: Rung) -> dict[str, Any]:
        trained = unit.open(rung.checkpoint).facts
        scores = unit.open(rung.evaluation).facts["scores"][self.task]
        if not scores["loss"] > 0:
            raise RunError(
                f"{rung.checkpoint.address} has a held-out loss of {scores['loss']}, whose logarithm is none: hold out more documents"
            )
        return {
            "checkpoint": rung.checkpoint.address,
            "parameters": trained["parameters"],
            "tokens": trained["tokens"],
            "flops": trained["flops_per_token"] * trained["tokens"],
            "loss": scores["loss"],
            "low": scores["loss_low"],
            "high": scores["loss_high"],
        }


def runs_of(points: list[dict[str, Any]]) -> Runs:
    """The points of a ladder as arrays."""
    import numpy as np

    columns = (np.array([point[name] for point in points], dtype=np.float64) for name in ("parameters", "tokens", "flops", "loss"))
    return Runs(*columns)


def _law_facts(law: Law, draws: list[Drawn]) -> Mapping[str, float]:
    return {
        "log_A": law.log_a,
        "log_B": law.log_b,
        **_sure("E", math.exp(law.log_e), [math.exp(each.law.log_e) for each in draws]),
        **_sure("alpha", law.alpha, [each.law.alpha for each in draws]),
        **_sure("beta", law.beta, [each.law.beta for each in draws]),
    }


def _optimal_facts(law: Law, draws: list[Drawn]) -> Mapping[str, float]:
    of_size = [each.law.size_exponent for each in draws]
    return {
        **_sure("parameters", law.size_exponent, of_size),
        **_sure("tokens", 1 - law.size_exponent, [1 - exponent for exponent in of_size]),
    }


def _frontier_facts(runs: Runs, points: list[dict[str, Any]], draws: list[Drawn]) -> Mapping[str, Any] | None:
    line = frontier_line(runs)
    if line is None:
        return None
    on_it = [points[place]["checkpoint"] for place in frontier(runs)]
    return {"log_k": line.log_k, **_sure("exponent", line.exponent, [each.exponent for each in draws]), "checkpoints": on_it}


def _sure(name: str, value: float, draws: list[float]) -> dict[str, float]:
    import numpy as np

    low, high = interval(np.array(draws))
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
