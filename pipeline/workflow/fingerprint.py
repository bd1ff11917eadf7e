"""The canonical form of a recipe, and its fingerprint; or a refusal that names the field and the remedy.

Two recipes are the same exactly if their canonical forms are. The form is plain JSON: numbers (1.0 as 1,
since they are equal), strings, lists, and for a frozen dataclass its class name, its version and its
fields. A nested step stands as its address. Fields marked with `execution(...)` say how a step runs, not
what it computes: they are left out. So are those marked with `later(...)` where they hold their default.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias

from pipeline.errors import NoFingerprint

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
FINGERPRINT_DIGITS = 20
ABSENT = "(absent)"


def execution(default: Any) -> Any:
    """A dataclass field that tells how to run, and so is no part of the identity."""
    if type(default).__hash__ is None:
        return dataclasses.field(default_factory=lambda: default, metadata={"identity": False})
    return dataclasses.field(default=default, metadata={"identity": False})


def later(default: Any) -> Any:
    """A dataclass field that its class was given when it had been in use. At its default, which does what was done without
    it, it is no part of the identity: addresses from before stay what they were."""
    return dataclasses.field(default=default, metadata={"later": True})


def identity_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """The (name, value) pairs of a dataclass that are part of its identity, in order of declaration."""
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if field.metadata.get("identity", True) and not (field.metadata.get("later") and item == field.default):
            yield field.name, item


def is_step(value: Any) -> bool:
    """Whether a dataclass stands for what it builds: it computes an address (and does not merely hold one)."""
    return dataclasses.is_dataclass(value) and hasattr(value, "address") and "address" not in value.__dataclass_fields__


def canonical(value: Any, where: str = "recipe") -> Json:
    """The canonical form of `value`; raises NoFingerprint naming `where` for what has none."""
    match value:
        case None | bool() | str():
            return value
        case Enum():
            return canonical(value.value, where)
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise NoFingerprint(f"{where} is {value}, which has no canonical form: use a finite number or None")
            return int(value) if value.is_integer() else value
        case tuple() | list():
            return [canonical(item, f"{where}[{place}]") for place, item in enumerate(value)]
        case dict():
            return {
                _key(key, where): canonical(item, f"{where}[{key!r}]") for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))
            }
        case PurePath():
            raise NoFingerprint(f"{where} is a path ({value}), which means something on one machine only: pass a string location")
    if is_step(value):
        return {"step": value.address}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _canonical_dataclass(value, where)
    raise NoFingerprint(
        f"{where} is a {type(value).__name__}, which has no canonical form: use numbers, strings, tuples or a frozen dataclass of them"
    )


def _canonical_dataclass(value: Any, where: str) -> Json:
    if not value.__dataclass_params__.frozen:
        raise NoFingerprint(f"{where} is a {type(value).__name__}, which can change: declare it with @dataclass(frozen=True)")
    form: dict[str, Json] = {"class": type(value).__name__}
    version = getattr(value, "version", 1)
    if version != 1:
        form["version"] = version
    for name, item in identity_fields(value):
        form[name] = canonical(item, f"{where}.{name}")
    return form


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise NoFingerprint(f"{where} has the key {key!r}: use strings as keys")
    return key


def canonical_json(form: Json) -> bytes:
    """The one spelling of a canonical form as bytes."""
    return json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "surrogatepass")


def fingerprint(form: Json) -> str:
    """The fingerprint of a canonical form: 80 bits of SHA-256 in hexadecimal digits."""
    return hashlib.sha256(canonical_json(form)).hexdigest()[:FINGERPRINT_DIGITS]


def differences(old: Json, new: Json, where: str = "") -> Iterator[tuple[str, Json, Json]]:
    """The places in which two canonical forms differ, as (path, old value, new value)."""
    if isinstance(old, dict) and isinstance(new, dict) and "step" not in old and old.get("class") == new.get("class"):
        for key in sorted(old.keys() | new.keys()):
            path = f"{where}.{key}" if where else key
            if key in old and key in new:
                yield from differences(old[key], new[key], path)
            else:
                yield path, old.get(key, ABSENT), new.get(key, ABSENT)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{where}[{place}]")
    elif old != new:
        yield where, old, new
