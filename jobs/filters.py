"""Filters on a command line: NAME, or NAME:SETTING=VALUE:SETTING=VALUE, which no shell needs to be told to leave alone.

All of it is read off the classes in `pipeline/filters/`: names, settings, types and defaults. A filter that is made by a class
method `at` has that method's parameters as its settings.
"""

import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

import pipeline.filters
from pipeline.errors import RequestError
from pipeline.filters.base import Filter

NONE = "none"
NEXT_SETTING = re.compile(r":(?=[A-Za-z_.-]+=)")
SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
REGISTRY = ConstructorRegistry()
COLUMN, WIDEST = 18, 70
R = TypeVar("R", bound=Filter)


@REGISTRY.primitive_rule
def _rule(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[tuple[Filter, ...]] | None:
    """How tyro reads and shows a field of filters."""
    if type_info.type != tuple[Filter, ...]:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="[FILTER [FILTER ...]]",
        instance_from_str=filters_from,
        is_instance=lambda value: isinstance(value, tuple) and all(isinstance(member, Filter) for member in value),
        str_from_instance=lambda chain: [word_for(member) for member in chain] or [NONE],
    )


@cache
def known_filters() -> dict[str, type[Filter]]:
    """All filters by their names. Modules that do not speak of the base are left alone: some of them are slow to load."""
    for place in sorted(Path(pipeline.filters.__path__[0]).glob("*.py")):
        if Filter.__module__ in place.read_text("utf-8"):
            importlib.import_module(f"{pipeline.filters.__name__}.{place.stem}")
    found = {kind.name(): kind for kind in _below(Filter) if not inspect.isabstract(kind)}
    return {name: kind for name, kind in sorted(found.items()) if kind.__module__.startswith(f"{pipeline.filters.__name__}.")}


def _below(kind: type[Any]) -> Iterator[type[Filter]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def filters_from(words: Sequence[str]) -> tuple[Filter, ...]:
    """The filters of a command line; raises RequestError for what is none."""
    return () if [word.lower() for word in words] == [NONE] else tuple(map(filter_from, words))


def filter_from(word: str) -> Filter:
    """The filter that a word stands for: one with its published defaults, but for what is said after its name."""
    name, *said = NEXT_SETTING.split(word)
    kind = known_filters().get(name)
    if kind is None:
        raise RequestError(
            f"--filters: there is no filter {name!r}: write NAME or NAME:SETTING=VALUE, of {', '.join(known_filters())}; or {NONE}"
        )
    known, values = settings_of(kind), dict[str, Any]()
    for part in said:
        setting, _, text = part.partition("=")
        setting = setting.replace("-", "_")
        if setting not in known:
            raise RequestError(f"--filters: {name} has no setting {_shown(setting)!r}: choose from {', '.join(map(_shown, known))}")
        if setting in values:
            raise RequestError(f"--filters: {name}:{_shown(setting)} is given twice: give it once")
        values[setting] = _value(known[setting], text, f"{name}:{_shown(setting)}")
    if (made := _made_by(kind)) is None:
        return _replaced(kind(), values)
    for setting in known.keys() - values.keys():
        raise RequestError(f"--filters: {name} needs to be told {_shown(setting)}: write {name}:{_shown(setting)}=…")
    return made(**values)


def _made_by(kind: type[Any]) -> Callable[..., Filter] | None:
    """The class method that makes a filter of what a user knows, where it has one."""
    return getattr(kind, "at", None)


def settings_of(kind: type[Any]) -> dict[str, Any]:
    """The settings of a filter with their types; those of a filter within it have its field's name and a dot before theirs."""
    if (made := _made_by(kind)) is not None:
        return {name: hint for name, hint in get_type_hints(made).items() if name != "return"}
    hints, found = get_type_hints(kind), dict[str, Any]()
    for field in fields(kind):
        hint = hints[field.name]
        inner = settings_of(hint) if isinstance(hint, type) and is_dataclass(hint) else {}
        found |= {f"{field.name}.{name}": within for name, within in inner.items()} or {field.name: hint}
    return found


def _replaced(rule: R, values: Mapping[str, Any]) -> R:
    """A filter with other values, all at once: one alone may not go with what was there."""
    own, within = dict[str, Any](), defaultdict[str, dict[str, Any]](dict)
    for setting, value in values.items():
        first, _, rest = setting.partition(".")
        if rest:
            within[first][rest] = value
        else:
            own[first] = value
    return replace(rule, **own, **{first: _replaced(getattr(rule, first), inner) for first, inner in within.items()})


def _value(kind: Any, text: str, where: str) -> Any:
    """A value of a type; raises RequestError naming the setting and what it may be."""
    try:
        return _read(kind, text)
    except (ValueError, KeyError):
        raise RequestError(f"--filters: {where} is {text!r}: give {_said(kind)}") from None


def _read(kind: Any, text: str) -> Any:
    members = get_args(kind)
    if get_origin(kind) is Literal:
        return members[members.index(text)]
    if get_origin(kind) is UnionType:
        return None if text.lower() == NONE else _read(members[0], text)
    if get_origin(kind) is tuple:
        texts = text.split(",") if text else []
        kinds = members[:1] * len(texts) if members[-1] is Ellipsis else members
        return tuple(_read(member, each) for member, each in zip(kinds, texts, strict=True))
    return SWITCHES[text.lower()] if kind is bool else kind(text)


def _said(kind: Any) -> str:
    """A type in words."""
    members = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(members)
    if get_origin(kind) is UnionType:
        return f"{_said(members[0])}, or {NONE}"
    if get_origin(kind) is tuple:
        return f"{'' if members[-1] is Ellipsis else f'{len(members)} times '}{_said(members[0])}, with commas between"
    return KINDS[kind]


def word_for(rule: Filter) -> str:
    """What `filter_from` makes this filter of."""
    kind = type(rule)
    usual, settings = kind(), settings_of(kind)
    parts = [f"{_shown(name)}={_written(_held(rule, name))}" for name in settings if _held(rule, name) != _held(usual, name)]
    return ":".join([kind.name(), *parts])


def _held(rule: Any, setting: str) -> Any:
    for name in setting.split("."):
        rule = getattr(rule, name)
    return rule


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _shown(setting: str) -> str:
    return setting.replace("_", "-")


def _short(value: str) -> str:
    return value if len(value) <= WIDEST else f"{value[: value.rindex(',', 0, WIDEST)]},…"


def filters_help(width: int) -> str:
    """The filters that there are, what each does, and its settings with their defaults."""
    lines = [" filters: NAME, or NAME:SETTING=VALUE:SETTING=VALUE with other settings than these", f" {'-' * (width - 2)}"]
    for name, kind in known_filters().items():
        about = (inspect.getdoc(kind) or "").splitlines()[0]
        lines.append(f"  {name:<{COLUMN}}{about}")
        usual, indent = kind(), " " * (COLUMN + 4)
        settings = " ".join(f"{_shown(setting)}={_short(_written(_held(usual, setting)))}" for setting in settings_of(kind))
        lines += textwrap.wrap(settings, width - 2, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines) + "\n"
