"""Which code a step reaches, and a digest of it, so that a change of code under the same version is noticed.

The reach of a step is the modules of its class and of everything in its recipe, and what those import from
this project, found by reading (nothing is imported). The workflow core is left out: it moves data, it
does not make any. Comments, docstrings and layout do not count.
"""

import ast
import dataclasses
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.workflow.fingerprint import identity_fields, is_step
from pipeline.workflow.stamps import is_settled, remembered, stamp_of

if TYPE_CHECKING:
    from pipeline.workflow.step import Step

PROJECT = Path(__file__).parents[2]
PACKAGE, CORE = "pipeline", "pipeline.workflow"


def code_of(step: "Step[Any]") -> dict[str, str]:
    """The modules that a step reaches, each with a digest of its code."""
    waiting = {cls.__module__ for cls in _classes(step)}
    found: dict[str, str] = {}
    while waiting:
        places = {module: place for module in sorted(waiting) if not _is_core(module) and (place := _place(module)) is not None}
        waiting = set()
        for module, code in zip(places, _codes(tuple(places.values())), strict=True):
            found[module] = code.digest
            waiting |= code.imports
        waiting -= found.keys()
    return dict(sorted(found.items()))


def _is_core(module: str) -> bool:
    return module == CORE or module.startswith(CORE + ".")


def code_digest(code: Mapping[str, str]) -> str:
    """One digest for the modules of `code_of`."""
    return hashlib.sha256(repr(sorted(code.items())).encode()).hexdigest()[:12]


def _classes(value: Any) -> Iterator[type]:
    """The classes of a step and of what its recipe holds, short of its inputs."""
    yield type(value)
    for _, item in identity_fields(value):
        yield from _classes_in(item)


def _classes_in(value: Any) -> Iterator[type]:
    if isinstance(value, tuple | list | dict):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _classes_in(member)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and not is_step(value):
        yield from _classes(value)


def _place(module: str) -> str | None:
    """The file of a module of this project, or of a module that a user's class comes from."""
    if module == PACKAGE or module.startswith(PACKAGE + "."):
        return _own_place(module)
    return getattr(sys.modules.get(module), "__file__", None)


@cache
def _own_place(module: str) -> str | None:
    stem = PROJECT.joinpath(*module.split("."))
    return next((str(place) for place in (stem.with_suffix(".py"), stem / "__init__.py") if place.is_file()), None)


class Code(NamedTuple):
    """The digest of a file's code, and the modules of this project that it imports anywhere."""

    digest: str
    imports: frozenset[str]


def _codes(places: tuple[str, ...]) -> list[Code]:
    """The code of some files, which is read once, until they change."""
    stamps = {place: stamp_of(place) for place in places}
    missing = [place for place, stamp in stamps.items() if place not in _known or _known[place][0] != stamp]
    found = dict(zip(missing, remembered("code", missing, lambda paths: map(_read, paths)), strict=True)) if missing else {}
    codes = {place: Code(digest, frozenset(imports)) for place, value in found.items() for digest, *imports in [value.split()]}
    _known.update({place: (stamps[place], code) for place, code in codes.items() if is_settled(place, stamps[place])})
    return [codes[place] if place in codes else _known[place][1] for place in places]


_known: dict[str, tuple[str, Code]] = {}
"""What was asked for in this process, by file: its stamp, and its code; many steps reach the same ones."""


def _read(path: str) -> str:
    """The digest of a file's code, and what it imports, in words."""
    tree = ast.parse(Path(path).read_bytes())
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif (
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]
    return " ".join([digest, *sorted(name for name in imports if name.startswith(PACKAGE + "."))])
