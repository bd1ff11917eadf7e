"""Recipes' parts on a command line: NAME, or NAME:SETTING=VALUE:SETTING=VALUE, which no shell needs to be told to leave alone.

All of it is read off the classes in one folder: names, settings, types and defaults. A class that is made by a class method `at` has
that method's parameters as its settings; where a setting's type has one, the setting is what that takes.
"""

import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from pipeline.errors import RequestError

NONE = "none"
NEXT_SETTING = re.compile(r":(?=[A-Za-z_.-][A-Za-z0-9_.-]*=)")
CLASS = re.compile(r"^class (\w+)\((.*)\)", re.MULTILINE)
SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
REGISTRY = ConstructorRegistry()
COLUMN, WIDEST = 18, 70
T = TypeVar("T")
UNSET: Any = object()
"""What a setting without a default has."""


class Family(Generic[T]):
    """The classes below one base, in one folder, and the words for objects of them."""

    def __init__(self, base: type[Any], folder: ModuleType, noun: str, named: Callable[[type[Any]], str]) -> None:
        self.base, self.folder, self.noun, self.named = base, folder, noun, named
        self.option = f"--{noun}s"

    @cached_property
    def known(self) -> dict[str, type[T]]:
        """All of them by their names. Modules without one are left alone: some of them are slow to load."""
        for module in self._modules():
            importlib.import_module(module)
        found = {self.named(kind): kind for kind in _below(self.base) if not inspect.isabstract(kind)}
        return {name: kind for name, kind in sorted(found.items()) if kind.__module__.startswith(f"{self.folder.__name__}.")}

    def _modules(self) -> list[str]:
        """The modules that define a class below the base, by their text."""
        places = sorted(Path(self.folder.__path__[0]).glob("*.py"))
        classes = [(place.stem, *match.groups()) for place in places for match in CLASS.finditer(place.read_text("utf-8"))]
        names, count = {self.base.__name__}, 0
        while len(names) > count:
            count = len(names)
            names |= {name for _, name, bases in classes if names & set(re.findall(r"\w+", bases))}
        return sorted({f"{self.folder.__name__}.{module}" for module, name, _ in classes if name in names})

    def all_from(self, words: Sequence[str]) -> tuple[T, ...]:
        """The objects of a command line; raises RequestError for what is none."""
        return () if [word.lower() for word in words] == [NONE] else tuple(map(self.one_from, words))

    def one_from(self, word: str) -> T:
        """The object that a word stands for: one with its class's defaults, but for what is said after its name."""
        return self.made(*self.parts(word))

    def parts(self, word: str) -> tuple[str, dict[str, str]]:
        """The name in a word and its settings as text."""
        name, *said = NEXT_SETTING.split(word)
        values = dict[str, str]()
        for part in said:
            setting, _, text = part.partition("=")
            setting = setting.replace("-", "_")
            if setting in values:
                raise RequestError(f"{self.option}: {name}:{_shown(setting)} is given twice: give it once")
            values[setting] = text
        return name, values

    def made(self, name: str, said: Mapping[str, str], **given: Any) -> T:
        """An object of the class of a name, with settings as text or as `given`; raises RequestError for what is wrong with them."""
        kind = self.known.get(name)
        if kind is None:
            raise RequestError(
                f"{self.option}: there is no {self.noun} {name!r}: write NAME or NAME:SETTING=VALUE, of {', '.join(self.known)}; or {NONE}"
            )
        known, values = settings_of(kind), dict[str, Any](given)
        for setting, text in said.items():
            if setting not in known:
                choices = ", ".join(map(_shown, known))
                raise RequestError(f"{self.option}: {name} has no setting {_shown(setting)!r}: choose from {choices}")
            values[setting] = self._value(known[setting], text, f"{name}:{_shown(setting)}")
        for setting in [setting for setting in known if setting not in values and _usual(kind, setting) is UNSET]:
            raise RequestError(f"{self.option}: {name} needs to be told {_shown(setting)}: write {name}:{_shown(setting)}=…")
        maker = _made_by(kind)
        thing: T = _with(kind, values) if maker is None else maker(**values)
        return thing

    def _value(self, kind: Any, text: str, where: str) -> Any:
        """A value of a type; raises RequestError naming the setting and what it may be."""
        try:
            return _read(kind, text)
        except (ValueError, KeyError):
            raise RequestError(f"{self.option}: {where} is {text!r}: give {_said(kind)}") from None

    def word_for(self, thing: T) -> str:
        """What `one_from` makes this object of."""
        kind = type(thing)
        held = {setting: _held(thing, setting) for setting in settings_of(kind)}
        parts = [f"{_shown(setting)}={written(value)}" for setting, value in held.items() if value != _usual(kind, setting)]
        return ":".join([self.named(kind), *parts])

    def rule(self, all_from: Callable[[Sequence[str]], tuple[T, ...]], word_for: Callable[[T], str], *types: Any) -> None:
        """Have tyro read and show fields of some types as words."""
        of = self.base

        @REGISTRY.primitive_rule
        def _rule(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[tuple[T, ...]] | None:
            if type_info.type not in types:
                return None
            return PrimitiveConstructorSpec(
                nargs="*",
                metavar=f"[{self.noun.upper()} [{self.noun.upper()} ...]]",
                instance_from_str=lambda words: all_from(words),
                is_instance=lambda value: isinstance(value, tuple) and all(isinstance(member, of) for member in value),
                str_from_instance=lambda things: [word_for(member) for member in things] or [NONE],
            )

    def help(self, width: int) -> str:
        """What there is, what each does, and its settings with their defaults."""
        lines = [f" {self.noun}s: NAME, or NAME:SETTING=VALUE:SETTING=VALUE with other settings than these", f" {'-' * (width - 2)}"]
        for name, kind in self.known.items():
            head, indent = f"  {name:<{COLUMN - 1}} ", " " * (COLUMN + 4)
            lines += textwrap.wrap(_about(kind), width - 2, initial_indent=head, subsequent_indent=indent[2:])
            settings = self.settings_help(kind)
            lines += textwrap.wrap(settings, width - 2, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        return "\n".join(lines) + "\n"

    def settings_help(self, kind: type[Any]) -> str:
        """The settings of a class with their defaults."""
        return " ".join(f"{_shown(setting)}={_short(_usual(kind, setting))}" for setting in settings_of(kind))


def _about(kind: type[Any]) -> str:
    """The first sentence on a class."""
    paragraph = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", paragraph, maxsplit=1)[0]


def _below(kind: type[Any]) -> list[type[Any]]:
    return [found for below in kind.__subclasses__() for found in (below, *_below(below))]


def _made_by(kind: Any) -> Callable[..., Any] | None:
    """The class method that makes an object of what a user knows, where a class has one."""
    return getattr(kind, "at", None)


def settings_of(kind: type[Any]) -> dict[str, Any]:
    """The settings of a class with their types; those of an object within it have its field's name and a dot before theirs."""
    if (made := _made_by(kind)) is not None:
        return {name: hint for name, hint in get_type_hints(made).items() if name != "return"}
    hints, found = get_type_hints(kind), dict[str, Any]()
    for field in fields(kind):
        hint = hints[field.name]
        if inspect.isabstract(hint):  # nothing says which of its kinds is meant
            continue
        within = settings_of(hint) if isinstance(hint, type) and is_dataclass(hint) and not _made_by(hint) else {}
        found |= {f"{field.name}.{name}": each for name, each in within.items()} or {field.name: hint}
    return found


def _default(field: "Field[Any]") -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return UNSET if field.default is MISSING else field.default


def _usual(kind: type[Any], setting: str) -> Any:
    """The default of a setting; UNSET where it has to be told."""
    if (maker := _made_by(kind)) is not None:
        default = inspect.signature(maker).parameters[setting].default
        return UNSET if default is inspect.Parameter.empty else default
    first, _, rest = setting.partition(".")
    usual = next(_default(field) for field in fields(kind) if field.name == first)
    return _held(usual, rest) if rest else usual


def _with(kind: type[T], values: Mapping[str, Any]) -> T:
    """An object with some values, all at once: one alone may not go with what was there."""
    own, within = _apart(values)
    return kind(**own, **{first: _replaced(_usual(kind, first), inner) for first, inner in within.items()})


def _replaced(thing: Any, values: Mapping[str, Any]) -> Any:
    own, within = _apart(values)
    return replace(thing, **own, **{first: _replaced(getattr(thing, first), inner) for first, inner in within.items()})


def _apart(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """An object's own values, and those of the objects within it."""
    own, within = dict[str, Any](), defaultdict[str, dict[str, Any]](dict)
    for setting, value in values.items():
        first, _, rest = setting.partition(".")
        if rest:
            within[first][rest] = value
        else:
            own[first] = value
    return own, within


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
    if kind is bool:
        return SWITCHES[text.lower()]
    return (_made_by(kind) or kind)(text)


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


def _held(thing: Any, setting: str) -> Any:
    for name in setting.split("."):
        thing = getattr(thing, name)
    return thing


def written(value: Any) -> str:
    """A value as text."""
    if isinstance(value, tuple | list):
        return ",".join(map(written, value))
    if _made_by(type(value)) is not None:
        return str(value.location)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _shown(setting: str) -> str:
    return setting.replace("_", "-")


def _short(value: Any) -> str:
    text = "" if value is UNSET else written(value).replace("\n", "\\n")
    return text if len(text) <= WIDEST else f"{text[: text.rindex(',', 0, WIDEST)]},…"
