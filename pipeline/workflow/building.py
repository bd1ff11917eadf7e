"""The context of a step that is being built: units that are committed one by one, taken over where they are found done."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, overload

from pipeline.errors import RunError
from pipeline.storage import Store
from pipeline.workflow.events import Advanced, Listener, Reported, tell
from pipeline.workflow.executor import Executor
from pipeline.workflow.fingerprint import Json, fingerprint
from pipeline.workflow.reach import code_digest
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.reuse import FOLDER as REUSE
from pipeline.workflow.reuse import recall, remember
from pipeline.workflow.step import A, Facts, Member, Step
from pipeline.workflow.unit import Unit, UnitTask, open_artifact, receipts_folder

T = TypeVar("T")


@dataclass
class Building:
    """The context of one step that is being built (a `Context`)."""

    step: Step[Any]
    store: Store
    executor: Executor
    listeners: Sequence[Listener]
    code: Mapping[str, str]
    """The digest of each module that the step reaches."""
    content: Mapping[str, str]
    """The digest of each input's bytes."""
    receipts: list[Receipt] = field(default_factory=list)
    phases: set[str] = field(default_factory=set)

    @cached_property
    def basis(self) -> str:
        """A digest of the code and of the input bytes: receipts of other ones do not count."""
        return code_digest({**self.code, **self.content})

    def open(self, step: Step[A]) -> A:
        return open_artifact(self.store, step)

    def map(self, work: Callable[[Unit, T], Facts], items: Sequence[T], stands_for: Callable[[T], Json] | None = None) -> Iterator[Receipt]:
        phase = self._phase(work)
        done = self._committed(phase)
        kept = {} if stands_for is None else self._reuse_paths(phase, items, stands_for, done)
        done |= recall(self.store, self._reuse_folder(phase), kept, self.step.address)
        tell(self.listeners, Advanced(self.step, phase, len(done), len(items)))
        waiting = [place for place in range(len(items)) if place not in done]
        tasks = Tasks(waiting, lambda place: self._task(phase, place, work, items[place], kept.get(place)))
        for index, receipt in self.executor.units(tasks):
            done[index] = receipt
            tell(self.listeners, Advanced(self.step, phase, len(done), len(items)))
        ordered = [done[place] for place in range(len(items))]
        self.receipts += ordered
        return iter(ordered)

    def gang(self, work: Callable[[Unit, Member], Facts], *sizes: int) -> Receipt:
        task = self._task(self._phase(work), 0, work, None)
        if task.index not in self._committed(task.phase):
            self.executor.gang(task, sizes, lambda metrics: tell(self.listeners, Reported(self.step, metrics)))
        receipt = self._committed(task.phase)[task.index]
        self.receipts.append(receipt)
        return receipt

    def recall(self, name: str) -> Receipt | None:
        path = self._reuse_path(name, None)
        found = recall(self.store, self._reuse_folder(name), {0: path}, self.step.address).get(0)
        whole = found is not None and all(self.store.checksum(entry.place(self.step.address)) == entry.checksum for entry in found.files)
        return found if whole else None

    def remember(self, name: str, receipt: Receipt) -> None:
        remember(self.store, self._reuse_path(name, None), self.step.address, receipt)

    def _reuse_folder(self, phase: str) -> str:
        """Where receipts are kept that other artifacts may take over: those of other code lie elsewhere."""
        return f"{REUSE}/{self.step.name()}/{code_digest(self.code)}/{phase}"

    def _reuse_paths(self, phase: str, items: Sequence[T], stands_for: Callable[[T], Json], done: Collection[int]) -> dict[int, str]:
        """Where the receipts of items that are not done may be found."""
        return {place: self._reuse_path(phase, stands_for(item)) for place, item in enumerate(items) if place not in done}

    def _reuse_path(self, phase: str, stands_for: Json) -> str:
        return f"{self._reuse_folder(phase)}/{fingerprint([self.step.own, stands_for])}.json"

    def _phase(self, work: Callable[..., Facts]) -> str:
        """The name of a phase; each has its own, or the receipts of one would pass for another's."""
        phase = getattr(work, "__name__", type(work).__name__)
        if phase in self.phases:
            raise RunError(f"{self.step.address} maps {phase} twice: give the second phase's function a name of its own")
        self.phases.add(phase)
        return phase

    def _task(self, phase: str, index: int, work: Callable[..., Facts], item: Any, reuse: str | None = None) -> UnitTask:
        return UnitTask(self.store.url, self.step.address, self.basis, phase, index, work, item, reuse)

    def _committed(self, phase: str) -> dict[int, Receipt]:
        """The receipts that are there already, of the same code and the same input bytes."""
        entries = self.store.list(receipts_folder(self.step.address, self.basis, phase))
        paths = [entry.path for entry in entries if entry.path.endswith(".json")]
        return {int(path.rsplit("/", 1)[1].removesuffix(".json")): Receipt.from_json(self.store.get(path)) for path in paths}


class Tasks(Sequence[UnitTask]):
    """Tasks that are made when an executor asks for them: a phase may have more items than can be held."""

    def __init__(self, places: Sequence[int], make: Callable[[int], UnitTask]) -> None:
        self._places, self._make = places, make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> UnitTask: ...

    @overload
    def __getitem__(self, number: slice) -> "Tasks": ...

    def __getitem__(self, number: int | slice) -> "UnitTask | Tasks":
        if isinstance(number, slice):
            return Tasks(self._places[number], self._make)
        return self._make(self._places[number])
