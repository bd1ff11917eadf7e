"""Carry out a graph: print its plan, or run it with everyone listening, and gather what the contract reports."""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.lineage import WandbLineage
from infra.ray_cluster import check_cluster, cluster
from jobs.command import Options
from pipeline.errors import RequestError
from pipeline.report.economy import cost_in_words
from pipeline.report.page import write_report
from pipeline.storage import LocalStore, Store, open_store
from pipeline.tokens.tokenize import Tokenize
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.events import Listener
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.journal import Journal
from pipeline.workflow.plan import plan
from pipeline.workflow.run import Outcome, run
from pipeline.workflow.step import Step, topological


def carry_out(job: str, targets: Sequence[Step[Any]], options: Options) -> Outcome | None:
    """Run the graph, starting a cluster only where something is to be built; None where only the plan was asked for."""
    if options.plan:
        return None
    check_cluster(options.cluster)
    store = open_store(options.root)
    decisions = plan(targets, store, options.rebuild)
    if not any(decision.build for decision in decisions):
        return run(targets, store, InlineExecutor(), [_progress()], options.rebuild)
    for decision in decisions:
        if decision.build:
            decision.step.check()
    store.check_writable()

    with cluster(options.cluster, options.workers) as executor, WandbLineage(_lineage_folder(store)) as lineage:
        return run(targets, store, executor, [_progress(), Journal(store, job), lineage], options.rebuild)


def _lineage_folder(store: Store) -> Path | None:
    """Where W&B keeps its files: beside the artifacts where these are on a disk, unless WANDB_DIR says otherwise."""
    return Path(store.url, "wandb") if isinstance(store, LocalStore) and "WANDB_DIR" not in os.environ else None


def _progress() -> Listener:
    from infra.progress import Progress

    return Progress(sys.stderr)


def check_workers(workers: int, options: Options, option: str = "--compute.workers") -> None:
    """Raise RequestError for a gang that the cluster asked for cannot have."""
    if options.cluster == "none" and workers > 1:
        raise RequestError(f"--cluster none is one process, and {option} is {workers}: use --cluster local, or 1 worker")


def planned(targets: Sequence[Step[Any]], options: Options) -> Mapping[str, Any]:
    """The plan as `--json` gives it."""
    decisions = plan(targets, open_store(options.root), options.rebuild)
    return {
        "built": [],
        "skipped": [],
        "plan": [{"step": decision.step.address, "build": decision.build, "reason": decision.reason} for decision in decisions],
    }


def show_plan(result: Mapping[str, Any]) -> str:
    """The plan as a person reads it."""
    rows = result["plan"]
    width = max(len(row["step"]) for row in rows)
    lines = [f"{'build' if row['build'] else 'keep '}  {row['step']:<{width}}  {row['reason']}" for row in rows]
    return "\n".join([*lines, f"{sum(row['build'] for row in rows)} of {len(rows)} steps would be built"])


def named(targets: Sequence[Step[Any]]) -> dict[str, str]:
    """Step name → address; a name that stands for several steps is numbered."""
    addresses: dict[str, str] = {}
    for step in topological(targets):
        kind = step.address.split("/")[0]
        name, number = kind, 2
        while name in addresses:
            name, number = f"{kind}-{number}", number + 1
        addresses[name] = step.address
    return addresses


def corpus_result(targets: Sequence[Step[Any]], manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    """`documents`, `tokens` and `artifacts` of the contract; read = kept + Σ dropped over all stages."""
    tokens = next(step for step in topological(targets) if isinstance(step, Tokenize))
    read, kept, dropped = 0, manifests[tokens.documents.address].facts["kept"], Counter[str]()
    for step in _stages(tokens.documents):
        facts = manifests[step.address].facts
        read += 0 if _documents(step) else facts["read"]
        for reason, count in facts["dropped"].items():
            dropped[f"{step.name()}/{reason}"] += count
    documents = {"read": read, "kept": kept, "dropped": dict(dropped)}
    return {"documents": documents, "tokens": manifests[tokens.address].facts["tokens"], "artifacts": named(targets)}


def _stages(step: Step[Any]) -> list[Step[Any]]:
    """The stages that documents went through to a step, and itself; each once."""
    found = {stage.address: stage for needed in _documents(step) for stage in _stages(needed)}
    return [*found.values(), step]


def _documents(step: Step[Any]) -> list[Step[Any]]:
    """The steps whose documents a step reads."""
    return [needed for path, needed in step.inputs.items() if path.partition("[")[0] == "documents"]


def report_page(targets: Sequence[Step[Any]], options: Options) -> str:
    """Write the report page of a finished graph into the root; returns where it is."""
    return write_report(targets, open_store(options.root), f"reports/{targets[0].address.replace('/', '-')}.html")


def outcome_result(outcome: Outcome) -> dict[str, Any]:
    """What every job reports."""
    return {"built": list(outcome.built), "skipped": list(outcome.skipped)}


def show_cost(result: Mapping[str, Any]) -> list[str]:
    """What a training cost, in a line; none of one from before that was counted."""
    return [f"cost:   {cost_in_words(result['economy'])}"] if "economy" in result else []


def show_corpus(result: Mapping[str, Any]) -> str:
    """The corpus in a few lines: what was read, dropped and why, and kept."""
    documents = result["documents"]
    lines = [f"read {documents['read']:,} documents"]
    lines += [f"  − {count:>9,}  {reason}" for reason, count in sorted(documents["dropped"].items(), key=lambda item: -item[1])]
    lines += [f"kept {documents['kept']:,} documents"]
    lines += [f"tokens: {result['tokens']['train']:,} to train on, {result['tokens']['validation']:,} held out"]
    return "\n".join(lines)
