"""The objective that a manifest names."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import pipeline.objectives
from pipeline.errors import RunError
from pipeline.objectives.base import Objective
from pipeline.objectives.next_token import NextToken


def objective_of(recipe: Mapping[str, Any]) -> Objective:
    """The objective in a checkpoint's recipe; one that names none was trained on next tokens. Raises RunError for an unknown one."""
    if "objective" not in recipe:
        return NextToken()
    for module in pkgutil.iter_modules(pipeline.objectives.__path__):
        importlib.import_module(f"{pipeline.objectives.__name__}.{module.name}")
    fields = dict(recipe["objective"])
    name = fields.pop("class")
    for kind in Objective.__subclasses__():
        if kind.__name__ == name:
            return kind(**fields)
    raise RunError(f"the checkpoint was trained with the objective {name}, which this version does not have: use the one that trained it")
