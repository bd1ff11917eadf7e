"""Walk the graph, skip what is built, build the rest; and the executor that does it all in this process."""

import getpass
import logging
import platform
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, TypeVar

from pipeline.errors import RequestError, RunError, Unbalanced
from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import Manifest, manifest_path, read_manifest
from pipeline.workflow.events import Advanced, Built, Failed, Listener, Planned, Reported, Skipped, Started, tell
from pipeline.workflow.plan import Decision, Rebuild, decide, plan
from pipeline.workflow.reach import code_digest, code_of
from pipeline.workflow.step import A, Facts, Member, Step, topological
from pipeline.workflow.unit import Receipt, Unit, UnitTask, open_artifact, receipts_folder

T = TypeVar("T")
log = logging.getLogger(__name__)
RECORDED_PACKAGES = (
    *("millrace", "pyarrow", "numpy", "numba", "ftfy", "py3langid", "tokenizers", "fastokens", "datasets"),
    *("torch", "ray", "deepspeed", "transformers", "wandb"),
)
Report = Callable[[Mapping[str, Any]], None]


class Executor(Protocol):
    """Who does the work: this process, or a cluster. Never a part of any identity."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterable[tuple[int, Receipt]]:
        """Run the tasks, in any order; yields (task.index, receipt) as each is committed."""

    def gang(self, task: UnitTask, size: int, report: Report) -> None:
        """Run `task.work(unit, member)` in `size` processes at once; the first one commits (`run_member`)."""


@dataclass(frozen=True)
class Alone:
    """The only member of a gang of one."""

    tell: Report
    rank: int = 0
    size: int = 1

    def report(self, metrics: Mapping[str, Any]) -> None:
        self.tell(metrics)


class InlineExecutor:
    """Everything in this process, one unit after the other."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        for task in tasks:
            yield task.index, task.run()

    def gang(self, task: UnitTask, size: int, report: Report) -> None:
        if size != 1:
            raise RequestError(f"without a cluster there is one process, not {size}: use --cluster local, or 1 worker")
        run_member(task, Alone(report))


def run_member(task: UnitTask, member: Member) -> None:
    """A member's part of a gang: every member works, the first one commits."""
    unit = Unit(open_store(task.root), task.address, task.phase, task.index)
    facts = task.work(unit, member)
    if member.rank == 0:
        task.commit(unit, facts)


@dataclass
class Building:
    """The context of one step that is being built (a `Context`)."""

    step: Step[Any]
    store: Store
    executor: Executor
    listeners: Sequence[Listener]
    basis: str
    receipts: list[Receipt] = field(default_factory=list)
    phases: set[str] = field(default_factory=set)

    def open(self, step: Step[A]) -> A:
        return open_artifact(self.store, step)

    def map(self, work: Callable[[Unit, T], Facts], items: Sequence[T]) -> Iterator[Receipt]:
        phase = self._phase(work)
        tasks = [self._task(phase, index, work, item) for index, item in enumerate(items)]
        done = self._committed(phase)
        tell(self.listeners, Advanced(self.step, phase, len(done), len(tasks)))
        for index, receipt in self.executor.units([task for task in tasks if task.index not in done]):
            done[index] = receipt
            tell(self.listeners, Advanced(self.step, phase, len(done), len(tasks)))
        ordered = [done[task.index] for task in tasks]
        self.receipts += ordered
        return iter(ordered)

    def gang(self, work: Callable[[Unit, Member], Facts], size: int) -> Receipt:
        task = self._task(self._phase(work), 0, work, None)
        if task.index not in self._committed(task.phase):
            self.executor.gang(task, size, lambda metrics: tell(self.listeners, Reported(self.step, metrics)))
        receipt = self._committed(task.phase)[task.index]
        self.receipts.append(receipt)
        return receipt

    def _phase(self, work: Callable[..., Facts]) -> str:
        """The name of a phase; each has its own, or the receipts of one would pass for another's."""
        phase = getattr(work, "__name__", type(work).__name__)
        if phase in self.phases:
            raise RunError(f"{self.step.address} maps {phase} twice: give the second phase's function a name of its own")
        self.phases.add(phase)
        return phase

    def _task(self, phase: str, index: int, work: Callable[[Unit, Any], Facts], item: Any) -> UnitTask:
        return UnitTask(self.store.url, self.step.address, self.basis, phase, index, work, item)

    def _committed(self, phase: str) -> dict[int, Receipt]:
        """The receipts that are there already, of the same code and the same input bytes."""
        entries = self.store.list(receipts_folder(self.step.address, self.basis, phase))
        paths = [entry.path for entry in entries if entry.path.endswith(".json")]
        return {int(path.rsplit("/", 1)[1].removesuffix(".json")): Receipt.from_json(self.store.get(path)) for path in paths}


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
    built, skipped, known = [], [], dict[str, Decision]()
    for step in topological(targets):
        decision = decide(step, store, rebuild, known)
        if decision.build:
            manifest = _build(step, decision, store, executor, listeners)
            built.append(step.address)
        else:
            assert decision.manifest is not None
            manifest = decision.manifest
            skipped.append(step.address)
            tell(listeners, Skipped(step, manifest))
        known[step.address] = Decision(step, False, decision.reason, manifest)
    return Outcome(tuple(built), tuple(skipped), {address: _manifest(decision) for address, decision in known.items()})


def _manifest(decision: Decision) -> Manifest:
    assert decision.manifest is not None
    return decision.manifest


def _build(step: Step[Any], decision: Decision, store: Store, executor: Executor, listeners: Sequence[Listener]) -> Manifest:
    if decision.manifest is not None:
        _retire(store, decision.manifest)
    tell(listeners, Started(step))
    started = time.time()
    code = code_of(step)
    try:
        inputs = _inputs(step, store)
        basis = code_digest(code | {path: found["content"] for path, found in inputs.items()})
        context = Building(step, store, executor, listeners, basis)
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


def _retire(store: Store, manifest: Manifest) -> None:
    """Keep the manifest that a rebuild replaces, since older artifacts may name what it names."""
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
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "user": _user(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
    }


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
