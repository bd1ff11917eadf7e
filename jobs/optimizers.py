"""The optimizer on a command line: `--update.optimizer NAME`, or NAME:SETTING=VALUE, of the classes in `pipeline/train/`.

It takes the place of the recipe's before the other options are read, so its own settings may be given with dots too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pipeline.train
from jobs.words import Family
from pipeline.errors import RequestError
from pipeline.train.engine import Optimizer

R = TypeVar("R")
OPTION = "--update.optimizer"
OPTIMIZERS = Family[Optimizer](Optimizer, pipeline.train, "optimizer", lambda kind: kind.__name__.lower())
OPTIMIZERS.option = OPTION


def with_optimizer(recipe: R, arguments: Sequence[str]) -> tuple[R, list[str]]:
    """The recipe with the optimizer that the arguments name last, if any, and the other arguments; raises RequestError for what is none."""
    rest, words = list[str](), iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option != OPTION or not hasattr(recipe, "update"):
            rest.append(word)
            continue
        recipe = _with(recipe, value if equals else next(words, ""))
    return recipe, rest


def _with(recipe: Any, word: str) -> Any:
    name, _ = OPTIMIZERS.parts(word)
    if name not in OPTIMIZERS.known:
        raise RequestError(f"{OPTION}: there is no optimizer {name!r}: write one of {', '.join(OPTIMIZERS.known)}, or NAME:SETTING=VALUE")
    return replace(recipe, update=replace(recipe.update, optimizer=OPTIMIZERS.one_from(word)))


def optimizers_help(width: int) -> str:
    """What there is, with settings and defaults."""
    return f" {OPTION} takes one of these in place of the recipe's:\n{OPTIMIZERS.help(width)}"
