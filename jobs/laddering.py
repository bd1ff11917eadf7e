"""What a ladder is asked for with, and the runs that it consists of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Literal

from jobs.grid import with_settings
from jobs.recipe import PretrainRecipe
from pipeline.errors import RequestError
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.ladder import FitLadder, Rung
from pipeline.models.base import Architecture
from pipeline.train.branch import shared_steps
from pipeline.train.pretrain import Pretrain

EXAMPLE = "dim=64,depth=2,heads=2"


@dataclass(frozen=True, kw_only=True)
class Laddering:
    """The runs, and the one whose loss is asked for."""

    sizes: tuple[str, ...] = ()
    """SETTING=NUMBER,… of the model, such as dim=64,depth=2,heads=2, for each size; the rest of it is the recipe's."""
    budgets: tuple[int, ...] = ()
    """Token budgets; each size is trained on each of them."""
    target: str | None = None
    """The size of the run whose loss is to be foretold, in the same words."""
    target_tokens: int | None = None
    """Its token budget."""
    at_once: int = 1
    """Runs at a time, each in a process of its own; they give way to other work on a cluster."""
    first: Literal["largest", "smallest"] = "largest"
    """Which runs are begun first, by what they cost: the largest, so that all end soon, or the smallest, so that some do."""

    def check(self) -> None:
        """Raise RequestError for what is no ladder."""
        for option, given in (("--sizes", self.sizes), ("--budgets", self.budgets)):
            if not given:
                raise RequestError(f"{option} is empty: give at least three, such as {EXAMPLE if option == '--sizes' else '500000'}")
            if twice := next((value for place, value in enumerate(given) if value in given[:place]), None):
                raise RequestError(f"{option} has {twice} twice: give it once")
        if (self.target is None) != (self.target_tokens is None):
            raise RequestError("--target and --target-tokens belong together: give both, or none")
        if self.target_tokens is not None and self.target_tokens < 1:
            raise RequestError(f"--target-tokens is {self.target_tokens}: use at least 1")


@dataclass(frozen=True)
class LadderPlan:
    """The runs of a ladder over one recipe."""

    recipe: PretrainRecipe
    asked: Laddering

    @cached_property
    def sizes(self) -> tuple[Architecture, ...]:
        return tuple(self._model("--sizes", words) for words in self.asked.sizes)

    @cached_property
    def target(self) -> Architecture | None:
        """The model whose loss is asked for."""
        return None if self.asked.target is None else self._model("--target", self.asked.target)

    @cached_property
    def fit(self) -> FitLadder:
        rungs = (self._rung(run) for model in self.sizes for run in self._runs(model))
        return FitLadder(rungs=tuple(rungs), task=self.recipe.tasks[0].name)

    def waves(self) -> Iterator[Sequence[Evaluate]]:
        """The runs in the order to train them in, so that none waits for another of its wave: trunks first, and by what they cost."""
        sign = -1 if self.asked.first == "largest" else 1
        rungs = sorted(self.fit.rungs, key=lambda rung: (rung.checkpoint.trunk is not None, sign * self._cost(rung.checkpoint)))
        for _, wave in groupby(rungs, key=lambda rung: rung.checkpoint.trunk is not None):
            yield [rung.evaluation for rung in wave]

    def _cost(self, run: Pretrain) -> int:
        vocabulary = self.recipe.vocab_size  # near enough to say which run takes longer
        return run.steps * run.batch * run.context * run.model.flops_for(run.objective, vocabulary, run.context)

    def _model(self, option: str, words: str) -> Architecture:
        settings = dict[str, str]()
        for word in words.split(","):
            name, equals, value = word.partition("=")
            if not equals or not name or not value:
                raise RequestError(f"{option} {words!r} is no size: write SETTING=NUMBER,…, such as {EXAMPLE}")
            settings[name.replace("-", "_")] = value
        return with_settings(self.recipe.model, settings, option)

    def _runs(self, model: Architecture) -> Iterator[Pretrain]:
        """A size on every budget. With a schedule of wsd the shorter runs branch off the longest, and so share its steps."""
        first, *_ = budgets = sorted(self.asked.budgets, reverse=True)
        runs = [replace(self.recipe.checkpoint, model=model, token_budget=budget, trunk=None, keep_at=()) for budget in budgets]
        if self.recipe.schedule.decay != "wsd":
            yield from runs
            return
        left = (shared_steps(run.schedule, run.steps) for run in runs[1:])
        yield replace(runs[0], keep_at=tuple(sorted(set(left))))
        yield from (replace(run, trunk=first) for run in runs[1:])

    def _rung(self, run: Pretrain) -> Rung:
        return Rung(checkpoint=run, evaluation=Evaluate(checkpoint=run, tokens=self.recipe.tokens, tasks=self.recipe.tasks))


def check_recipe(recipe: PretrainRecipe) -> None:
    """Raise RequestError for what the ladder itself decides on."""
    for name, value in (("trunk", recipe.trunk), ("keep-at", recipe.keep_at), ("states", recipe.states)):
        if value:
            raise RequestError(f"--{name} is {value}, which a ladder decides on for each of its runs: leave it out")
