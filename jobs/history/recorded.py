"""Recipes as JSON, so that a later command can carry them out again without being told.

Only dataclasses of this project are made from what is read, by their names; nothing in it is run.
"""

import importlib
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from pipeline.errors import Damaged
from pipeline.sources.files import WEB_SCHEMES
from pipeline.workflow.fingerprint import Json

R = TypeVar("R")
KIND = "kind"
PACKAGES = ("pipeline.", "jobs.")


def recorded(value: Any) -> Json:
    """A recipe as JSON. The query of a web address is left out, since it may hold a signature."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        said = {field.name: recorded(getattr(value, field.name)) for field in fields(value) if not _as_before(value, field)}
        return {KIND: f"{kind.__module__}:{kind.__name__}", **said}
    if isinstance(value, tuple | list):
        return [recorded(item) for item in value]
    if isinstance(value, str) and value.startswith(WEB_SCHEMES):
        return value.partition("?")[0]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a recipe holds a {type(value).__name__}, which cannot be recorded: use numbers, strings, tuples and dataclasses")


def _as_before(value: Any, field: "Field[Any]") -> bool:
    """Whether a field that its class was given later does what was done without it: then a recipe is recorded as it was before."""
    return bool(field.metadata.get("later")) and getattr(value, field.name) == field.default


def recipe_from(form: Json, kind: type[R]) -> R:
    """The recipe that `recorded` made JSON of; raises Damaged where it is none of this kind."""
    try:
        recipe = _value(form)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as problem:
        raise Damaged(f"a recorded recipe cannot be read ({problem}): name the sources and the recipe in the command") from problem
    if not isinstance(recipe, kind):
        raise Damaged(f"a recorded recipe is a {type(recipe).__name__}, not a {kind.__name__}: name the recipe in the command")
    return recipe


def _value(form: Any) -> Any:
    if isinstance(form, list):
        return tuple(_value(item) for item in form)
    if not isinstance(form, dict):
        return form
    module, _, name = form[KIND].partition(":")
    if not module.startswith(PACKAGES):
        raise ValueError(f"{module} is no module of this project")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ValueError(f"{module}:{name} is no recipe")
    return kind(**{key: _value(item) for key, item in form.items() if key != KIND})
