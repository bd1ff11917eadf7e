"""The command line of every job: a recipe's name, its fields, and the options that change no identity."""

import contextlib
import dataclasses
import errno
import importlib
import io
import json
import os
import pkgutil
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from jobs import recipes
from jobs.filters import REGISTRY, filters_help
from jobs.history.recorded import recipe_from
from jobs.optimizers import optimizers_help, with_optimizer
from jobs.tasks import TASKS
from jobs.terminal import cut, room
from pipeline.errors import MillraceError, RequestError
from pipeline.workflow.plan import Rebuild

R = TypeVar("R")
RECORDED = ".json"
DONE, FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how to run; nothing of it changes what is built."""

    root: str = "./runs"
    """Where artifacts live: a folder, s3://bucket/prefix, gs://… or az://…"""
    cluster: str = "local"
    """local: a Ray of its own (in a submitted job, the job's); auto or an address: a running Ray; none: in this process."""
    workers: int | None = None
    """Units of work done at a time; None: as many as there are cores."""
    plan: bool = False
    """Print what would run and why, and change nothing."""
    json: bool = False
    """Print one JSON object as the only thing on stdout."""
    rebuild: Rebuild = Rebuild.NEVER
    """changed: build anew the steps whose code has changed since they were built."""


@dataclass(frozen=True)
class Invocation(Generic[R]):
    """A parsed command line."""

    recipe: R
    options: Options
    more: Any = None
    """The options that this job alone has, if it has any."""


Result = Mapping[str, Any]


def execute(
    job: str,
    recipe_type: type[R],
    act: Callable[[Invocation[R]], Result],
    show: Callable[[Result], str],
    default: str | None = None,
    more: Any = None,
) -> int:
    """Parse the command line, act, and print the result, as JSON or as `show` words it; returns the exit code.

    `default` is the recipe where none is named; `more` holds the options that this job alone has, as a dataclass.
    Errors are one line on stderr that begins `error:`. Nothing but the result goes to stdout.
    """
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    with _quiet_stdout() as stdout:
        try:
            invocation = parse(job, recipe_type, sys.argv[1:], default, more)
            result = {**act(invocation), "seconds": round(time.monotonic() - started, 3)}
        except SystemExit as exit_:  # --help
            stdout.write(exit_.args[1] if len(exit_.args) > 1 else "")
            return int(exit_.args[0] or 0)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on from here", file=sys.stderr)
            return INTERRUPTED
        except Exception as problem:
            return _report(problem)
        words = json.dumps(result, ensure_ascii=False) if invocation.options.json else show(result)
        stdout.write(words.rstrip("\n") + "\n")
    return DONE


def parse(job: str, recipe_type: type[R], arguments: Sequence[str], default: str | None = None, more: Any = None) -> Invocation[R]:
    """The recipe and options of a command line. Raises RequestError; SystemExit with the text for --help."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    rest = arguments[1:] if name else arguments
    chosen = name or default
    recipe = load_recipe(chosen, recipe_type) if chosen else recipe_type()
    recipe, rest = with_optimizer(recipe, rest)
    form = _form(recipe, more)
    about = _about(recipe_type, with_recipes=default is not None and bool({"-h", "--help"} & set(rest)))
    program = f"python jobs/{job}.py{' [RECIPE]' if default else ''}"
    output, complaints = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaints):
            config = (tyro.conf.EnumChoicesFromValues,)
            parsed = tyro.cli(form, args=rest, prog=program, config=config, description=about, registry=REGISTRY)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise SystemExit(0, output.getvalue() + _below(recipe)) from None
        raise RequestError(_one_line(complaints.getvalue())) from None
    return Invocation(parsed.recipe, parsed.options, None if more is None else parsed.more)


def _form(recipe: R, more: Any) -> Any:
    """A dataclass whose fields are the recipe's and the options', without prefixes, defaulting to `recipe`."""
    unprefixed = tyro.conf.arg(name="")
    fields = [("recipe", Annotated[type(recipe), unprefixed], recipe), ("options", Annotated[Options, unprefixed], Options())]
    if more is not None:
        fields.append(("more", Annotated[type(more), unprefixed], more))
    members = [(name, kind, dataclasses.field(default=value)) for name, kind, value in fields]
    return dataclasses.make_dataclass("Invocation", members, frozen=True)


def _about(recipe_type: type, with_recipes: bool) -> str:
    """The words above the options; recipes are only read where they are to be listed."""
    words = (recipe_type.__doc__ or "").strip()
    names = ", ".join(recipe_names(recipe_type)) if with_recipes else ""
    return f"{words}\n\nRecipes: {names}." if names else words


def _below(recipe: object) -> str:
    """The words below the options of a recipe that has filters, tasks or an optimizer."""
    width = shutil.get_terminal_size().columns
    told = {"filters": filters_help, "tasks": TASKS.help, "update": optimizers_help}
    parts = [words(width) for field, words in told.items() if hasattr(recipe, field)]
    return "\n".join(parts)


def recipe_names(kind: type) -> list[str]:
    """The presets of a kind: a file each in jobs/recipes/."""
    return sorted(module.name for module in pkgutil.iter_modules(recipes.__path__) if isinstance(_recipe(module.name), kind))


def load_recipe(name: str, recipe_type: type[R]) -> R:
    """The preset of that name, or what jobs/tune.py has written to that file; raises RequestError naming the presets there are."""
    if name.endswith(RECORDED):
        return _recorded_recipe(name, recipe_type)
    fitting = recipe_names(recipe_type)
    module = name.replace("-", "_")
    if module not in fitting:
        raise RequestError(f"there is no recipe {name!r} for this job: choose one of {', '.join(fitting)}")
    recipe: R = _recipe(module)
    return recipe


def _recorded_recipe(path: str, recipe_type: type[R]) -> R:
    try:
        return recipe_from(json.loads(Path(path).read_text(encoding="utf-8")), recipe_type)
    except (OSError, ValueError, MillraceError) as problem:
        raise RequestError(
            f"the recipe {path} cannot be read ({problem}): name a file that jobs/tune.py has written, or a preset"
        ) from None


def _recipe(module: str) -> Any:
    return importlib.import_module(f"jobs.recipes.{module}").RECIPE


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[Any]:
    """Whatever libraries and child processes print goes to stderr; the yielded file is the real stdout."""
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(real), "w", encoding="utf-8") as stdout:
            yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _report(problem: Exception) -> int:
    """Say on one line what happened and the remedy, and below it what else is to be seen; a fault of ours comes with its traceback."""
    match problem:
        case MillraceError():
            message = str(problem)
        case OSError(errno=errno.ENOSPC):
            message = f"no space is left on the disk of {problem.filename or 'the root'}: free some and run the same command again"
        case PermissionError():
            message = f"no permission for {problem.filename}: allow it, or choose another place, and run the same command again"
        case _:
            traceback.print_exception(problem, file=sys.stderr)
            message = f"{type(problem).__name__}: {problem}"
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    for note in getattr(problem, "__notes__", ()):
        print(f"  {cut(note, room() - 2)}", file=sys.stderr)
    return WRONG_REQUEST if isinstance(problem, RequestError) else FAILED


def _one_line(box: str) -> str:
    """The words of an argument parser's framed complaint."""
    lines = [re.sub(r"[╭╮╰╯│─]+|-{4,}", " ", line).strip() for line in box.splitlines()[1:]]
    words = " ".join(line for line in lines if line and not line.lower().startswith(("for full helptext", "argument helptext")))
    words = re.sub(r"\s+", " ", words).strip().rstrip(".")
    return f"{words}; see --help" if words else "the command line could not be read: see --help"
