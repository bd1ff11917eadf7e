"""What is built, running, failed, and why; reads the root alone, and works with no cluster up."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import asdict, dataclass

from jobs.command import Invocation, Result, execute
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.workflow.journal import statuses


@dataclass(frozen=True, kw_only=True)
class StatusRecipe:
    """What is built, running, failed, and why."""

    step: str | None = None
    """Only steps of this name, such as tokenize."""


def status(invocation: Invocation[StatusRecipe]) -> Result:
    """The state of every step that the root knows of, in the order in which they were heard of."""
    options = invocation.options
    there = statuses(open_store(options.root))
    asked, names = invocation.recipe.step, sorted({row.address.split("/")[0] for row in there})
    if names and asked is not None and asked not in names:
        raise RequestError(f"no step named {asked!r} is in {options.root}: choose one of {', '.join(names)}")
    rows = [asdict(row) for row in there if asked in (None, row.address.split("/")[0])]
    return {"built": [], "skipped": [], "root": options.root, "steps": rows}


def show(result: Result) -> str:
    """A line a step."""
    if not result["steps"]:
        return f"nothing is built in {result['root']}: python jobs/pretrain.py builds something"
    width = max(len(row["address"]) for row in result["steps"])
    return "\n".join(f"{row['state']:<11}  {row['address']:<{width}}  {row['detail']}" for row in result["steps"])


if __name__ == "__main__":
    raise SystemExit(execute("status", StatusRecipe, status, show))
