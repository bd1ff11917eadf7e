"""A corpus again, with what is new, changed or gone since the last state: at the price of what changed, once or on a schedule."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import gc
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])
    gc.disable()  # until all is loaded: a tenth of a refresh with nothing to do would go into looking through modules for garbage

import gc
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from infra.lease import Lease
from infra.timetable import Timetable
from jobs.command import Invocation, Options, Result, execute
from jobs.history.prospect import as_it_grows
from jobs.history.states import folder_of, latest
from jobs.launch import carry_out, corpus_result, outcome_result, planned, show_corpus, show_plan
from jobs.looking import Looking, reported, show_looking
from jobs.recipe import CorpusRecipe
from pipeline.storage import open_store
from pipeline.workflow.step import Step


@dataclass(frozen=True, kw_only=True)
class Timing(Looking):
    """When to refresh, and how closely to look at the outcome."""

    schedule: str | None = None
    """A cron expression in local time, such as "0 3 * * *": refresh at these times, until stopped. None: once, now."""


def refresh(invocation: Invocation[CorpusRecipe]) -> Result:
    """Bring the corpus to the present state of its sources; on a schedule, again and again."""
    gc.freeze()
    gc.enable()
    timetable = None if invocation.more.schedule is None else Timetable(invocation.more.schedule)
    if timetable is None or invocation.options.plan:
        return refreshed(invocation.recipe, invocation.options, invocation.more)
    state = latest(open_store(invocation.options.root), folder_of(invocation.recipe))
    last = datetime.fromisoformat(state.at) if state else None
    return timetable.keep(lambda: refreshed(replace(invocation.recipe), invocation.options, invocation.more), last)


def refreshed(recipe: CorpusRecipe, options: Options, looking: Looking) -> Result:
    """One refresh. The last state stays in force until the new one is whole."""
    store = open_store(options.root)
    prospect = as_it_grows(recipe, store)
    tokens = prospect.recipe.tokens
    looks = looking.at(tokens)
    targets: tuple[Step[Any], ...] = (*looking.budgets(tokens.documents), tokens, *looks)
    changed = {name: asdict(change) for name, change in prospect.changes.items()}
    if options.plan:
        return {**planned(targets, options), "changes": changed}
    with Lease(store, f"{folder_of(recipe)}/lease.json"):
        outcome = carry_out("refresh", targets, options)
        assert outcome is not None
        state = prospect.record(store, "refresh")
    return {
        **outcome_result(outcome),
        **corpus_result(targets, outcome.manifests),
        "changes": changed,
        "state": state.number,
        **reported(tokens, looks, options),
    }


def show(result: Result) -> str:
    """What has changed, and the corpus as it is now."""
    lines = [_change(name, change) for name, change in result["changes"].items()]
    if "plan" in result:
        return "\n".join([*lines, show_plan(result)])
    state = f"state {result['state']}: {result['artifacts']['tokenize']}\nreport: {result['report']}"
    return "\n".join([*lines, f"{show_corpus(result)}\n{show_looking(result)}{state}"])


def _change(name: str, change: dict[str, Any]) -> str:
    return f"{name}: {change['new']:,} new or changed, {change['gone']:,} gone or changed, {change['same']:,} as before"


if __name__ == "__main__":
    raise SystemExit(execute("refresh", CorpusRecipe, refresh, show, default="python_library", more=Timing()))
