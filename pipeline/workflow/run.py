"""Walk the graph, skip what is built, build the rest."""

import getpass
import logging
import platform
import socket
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.errors import Unbalanced
from pipeline.storage import Store
from pipeline.workflow.artifact import Manifest, manifest_path, read_manifest
from pipeline.workflow.building import Building
from pipeline.workflow.events import Built, Failed, Listener, Planned, Skipped, Started, tell
from pipeline.workflow.executor import Executor
from pipeline.workflow.plan import Decision, Rebuild, decide, plan
from pipeline.workflow.reach import code_of
from pipeline.workflow.step import Facts, Step
from pipeline.workflow.unit import open_artifact

log = logging.getLogger(__name__)
RECORDED_PACKAGES = (
    *("millrace", "pyarrow", "numpy", "numba", "ftfy", "py3langid", "tokenizers", "fastokens", "datasets"),
    *("torch", "ray", "deepspeed", "transformers", "wandb"),
)


@dataclass(frozen=True)
class Outcome:
    """The addresses that a run built and skipped, and the manifest of every step by address."""

    built: tuple[str, ...]
    skipped: tuple[str, ...]
    manifests: Mapping[str, Manifest]


def run(
    targets: Sequence[Step[Any]], store: Store, executor: Executor, listeners: Sequence[Listener] = (), rebuild: Rebuild = Rebuild.NEVER
) -> Outcome:
    """Build what the targets need and is not there. Raises what a step raises, after telling the listeners."""
    decisions = plan(targets, store, rebuild)
    for decision in decisions:
        tell(listeners, Planned(decision.step, decision.build, decision.reason))
        if decision.build:
            decision.step.check()
    if any(decision.build for decision in decisions):
        store.check_writable()
    readers = _readers([decision.step for decision in decisions if decision.build])
    built, skipped, known = [], [], dict[str, Decision]()
    for planned in decisions:
        step = planned.step
        decision = decide(step, store, rebuild, known, planned.reason)
        if decision.build:
            manifest = _build(step, decision, store, executor, listeners)
            built.append(step.address)
        else:
            assert decision.manifest is not None
            manifest = decision.manifest
            skipped.append(step.address)
            tell(listeners, Skipped(step, manifest))
        known[step.address] = Decision(step, False, decision.reason, manifest)
        for reader in readers[step.address]:
            reader.check_input(step, manifest.facts)
    return Outcome(tuple(built), tuple(skipped), {address: _manifest(decision) for address, decision in known.items()})


def _readers(steps: Sequence[Step[Any]]) -> Mapping[str, Sequence[Step[Any]]]:
    """Those of the steps that read an artifact, each once, by its address."""
    found = defaultdict[str, list[Step[Any]]](list)
    for step in steps:
        for address in dict.fromkeys(needed.address for needed in step.inputs.values()):
            found[address].append(step)
    return found


def _manifest(decision: Decision) -> Manifest:
    assert decision.manifest is not None
    return decision.manifest


def _build(step: Step[Any], decision: Decision, store: Store, executor: Executor, listeners: Sequence[Listener]) -> Manifest:
    if decision.manifest is not None:
        retire(store, decision.manifest)
    tell(listeners, Started(step))
    started = time.time()
    code = code_of(step)
    try:
        inputs = _inputs(step, store)
        context = Building(step, store, executor, listeners, code, {path: found["content"] for path, found in inputs.items()})
        facts = step.run(context)
        check_balance(step.address, facts)
        manifest = _commit(context, inputs, facts, _provenance(code, started))
    except BaseException as problem:
        finished = _finished(store, step.address) if isinstance(problem, Exception) else None
        if finished is None:
            tell(listeners, Failed(step, problem))
            raise
        manifest = finished
    _sweep(store, step.address)
    tell(listeners, Built(step, manifest, time.time() - started))
    return manifest


def _inputs(step: Step[Any], store: Store) -> dict[str, dict[str, str]]:
    """What a step reads, by field path: the address, and the digest of the bytes that are there now."""
    return {
        path: {"address": needed.address, "content": open_artifact(store, needed).manifest.content} for path, needed in step.inputs.items()
    }


def _commit(context: Building, inputs: dict[str, dict[str, str]], facts: Facts, provenance: Mapping[str, Any]) -> Manifest:
    """Write the manifest, once; the one that is there counts, if another driver came first."""
    store, step = context.store, context.step
    files = tuple(entry for receipt in context.receipts for entry in receipt.files)
    manifest = Manifest(step.name(), step.address.split("/")[1], step.recipe, inputs, files, facts, provenance)
    if store.put_new(manifest_path(step.address), manifest.to_json()):
        return manifest
    there = read_manifest(store, step.address)
    assert there is not None
    return there


def _finished(store: Store, address: str) -> Manifest | None:
    """The manifest, where another driver finished the step and removed its scratch files under us."""
    try:
        return read_manifest(store, address)
    except Exception:
        return None


def _sweep(store: Store, address: str) -> None:
    """Remove scratch files and receipts of a finished step; what cannot be removed does no harm."""
    try:
        for entry in list(store.list(f"{address}/work")):
            store.delete(entry.path)
    except Exception as problem:
        log.warning("scratch files of %s stay behind: %s", address, problem)


def retire(store: Store, manifest: Manifest) -> None:
    """Put a manifest out of force and keep it on record, since other artifacts may have been made from what it names."""
    store.put_new(f"{manifest.address}/retired/{manifest.content}.json", manifest.to_json())
    store.delete(manifest_path(manifest.address))


def check_balance(address: str, facts: Facts) -> None:
    """Raise Unbalanced unless read = kept + Σ dropped, where a step counts documents."""
    if "read" in facts:
        dropped = sum(facts["dropped"].values())
        if facts["read"] != facts["kept"] + dropped:
            raise Unbalanced(
                f"{address} read {facts['read']} documents, but kept {facts['kept']} and dropped {dropped}: please report this"
            )


def _provenance(code: dict[str, str], started: float) -> dict[str, Any]:
    """Recorded, never identity: who built it, when, where and with what. No arguments, no environment."""
    return {
        "code": code,
        "packages": {name: found for name in RECORDED_PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}",  # platform.platform() starts a process
        "host": socket.gethostname(),
        "user": _user(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
