"""A grid of settings: every combination of some values, each a recipe of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from itertools import product
from typing import Any, TypeVar, get_args, get_type_hints

from pipeline.errors import RequestError

R = TypeVar("R")
MOST = 64
"""Combinations: more would rather be searched by someone who has looked at a few."""


def combinations(words: Sequence[str]) -> list[dict[str, str]]:
    """The combinations of words such as `schedule.peak=1e-4,3e-4`, the last word's values changing fastest; raises RequestError."""
    settings = dict[str, list[str]]()
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not name or not all(values.split(",")):
            raise RequestError(f"--grid {word!r} is no setting with values: write NAME=VALUE,VALUE, such as schedule.peak=1e-4,3e-4")
        if name in settings:
            raise RequestError(f"--grid names {name} twice: give all its values at once")
        settings[name.replace("-", "_")] = values.split(",")
    found = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    if len(found) > MOST:
        raise RequestError(f"--grid has {len(found)} combinations: give at most {MOST}")
    return found


def with_settings(recipe: R, settings: Mapping[str, str], option: str = "--grid") -> R:
    """A recipe with other numbers in it, each by its path; raises RequestError for what is no number of the recipe."""
    for path, text in settings.items():
        recipe = _with(recipe, path.split("."), text, f"{option} names {path}")
    return recipe


def _with(thing: Any, path: Sequence[str], text: str, whole: str) -> Any:
    name, *rest = path
    if not is_dataclass(thing) or isinstance(thing, type) or name not in (hints := get_type_hints(type(thing))):
        known = ", ".join(sorted(hints)) if is_dataclass(thing) else "none"
        raise RequestError(f"{whole}, which is no setting: of {type(thing).__name__} there are {known}")
    if rest:
        return replace(thing, **{name: _with(getattr(thing, name), rest, text, whole)})
    return replace(thing, **{name: _number(hints[name], text, whole)})


def _number(kind: Any, text: str, whole: str) -> float | int | None:
    kinds = get_args(kind) or (kind,)
    try:
        if text == "none" and type(None) in kinds:
            return None
        if int in kinds:
            return int(text)
        if float in kinds:
            return float(text)
    except ValueError:
        raise RequestError(f"{whole} with {text!r}: give {'whole numbers' if int in kinds else 'numbers'}") from None
    raise RequestError(f"{whole}, which is no number: choose settings that are")
