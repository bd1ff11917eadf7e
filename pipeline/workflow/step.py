"""A step is a frozen dataclass: its fields are its recipe, its Step fields are its edges.

Constructing a step runs nothing. There is no second notion of config, node or edge.
"""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pipeline.errors import RequestError
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import Json, canonical, fingerprint, identity_fields
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.unit import Unit

A = TypeVar("A", bound=Artifact)
T = TypeVar("T")
Facts = Mapping[str, Any]
"""What a manifest keeps of a step, as JSON: counts above all. Where `read` is among them, read = kept + Σ dropped."""


class Member(Protocol):
    """One process of a gang."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def leaving(self) -> bool:
        """Whether its machine has been told that it will be taken away soon."""

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Tell the listeners how far the gang is; only the first member's words are passed on."""

    def saved(self) -> None:
        """Tell that the work can go on from where it is, by a gang of another size too."""


class Context(Protocol):
    """All of *where*: what a running step may ask of the world."""

    def open(self, step: "Step[A]") -> A:
        """The artifact of an input."""

    def map(self, work: Callable[[Unit, T], Facts], items: Sequence[T], stands_for: Callable[[T], Json] | None = None) -> Iterator[Receipt]:
        """One unit of work an item, each committed by itself; their receipts in the order of the items.

        `work` must be picklable and a function of the item, the step and its inputs alone. Its name is
        the phase's name. What it writes with `unit.write` becomes part of the artifact.

        With `stands_for`, a unit must be a function of the step's `own` recipe and of what its item stands for: it is then
        taken over from whatever artifact it was done for before. Such units leave no scratch files.
        """

    def recall(self, name: str) -> Receipt | None:
        """What a step with the same `own` recipe, but perhaps other inputs, has left under a name; never a part of the outcome."""

    def remember(self, name: str, receipt: Receipt) -> None:
        """Leave the receipt of a unit of this step for `recall`, over an older one."""

    def gang(self, work: Callable[[Unit, Member], Facts], *sizes: int) -> Receipt:
        """Processes that start and fail together, as many as the first of `sizes` says, or, while there is no room for them, another of
        them; the first process's writes and facts are the receipt. Work that may be done by several sizes goes on from what it saved
        under another."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step(ABC, Generic[A]):
    """Base of all steps: a frozen, keyword-only dataclass that has `run`."""

    version: ClassVar[int] = 1
    """Raise it when the same fields now mean different data."""
    artifact: ClassVar[type[Artifact]] = Artifact
    """How this step's artifact is opened."""

    @abstractmethod
    def run(self, context: Context) -> Facts:
        """Do the work and return the counts that the manifest keeps."""

    def check(self) -> None:
        """Raise RequestError for what can be seen to be wrong before anything is started."""

    def check_input(self, needed: "Step[Any]", facts: Facts) -> None:
        """Raise RequestError for what the facts of an input show to be wrong, as soon as it is there: others may take long to build."""

    @classmethod
    def name(cls) -> str:
        """The step's name in addresses: the class name in kebab case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @cached_property
    def recipe(self) -> dict[str, Json]:
        """The canonical form of this step's own fields; inputs stand as addresses."""
        form: dict[str, Json] = {"class": type(self).__name__, "version": self.version}
        for field, value in identity_fields(self):
            form[field] = canonical(value, field)
        return form

    @property
    def own(self) -> Json:
        """The recipe without the inputs: what a unit depends on besides its item and what that stands for."""
        return without_steps(self.recipe)

    @cached_property
    def address(self) -> str:
        """`name/fingerprint`: no root, host, path or resource in it."""
        return f"{self.name()}/{fingerprint(self.recipe)}"

    @cached_property
    def inputs(self) -> dict[str, "Step[Any]"]:
        """The steps that this one reads, by the path of the field that holds them."""
        return {path: step for field, value in identity_fields(self) for path, step in steps_in(value, field)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference(Step[A]):
    """A step that is named by its address alone: it stands for what was built, and cannot be built from here."""

    of: str
    """`name/fingerprint`."""
    opens: type[A]
    """How its artifact is opened."""

    @property
    def address(self) -> str:
        return self.of

    @property
    def artifact(self) -> type[A]:  # type: ignore[override]
        return self.opens

    @property
    def inputs(self) -> dict[str, Step[Any]]:
        return {}

    def check(self) -> None:
        raise RequestError(f"{self.of} is not in this root, or no longer: name one that is (python jobs/status.py lists them)")

    def run(self, context: Context) -> Facts:  # noqa: ARG002 - there is nothing to run
        raise RequestError(f"{self.of} is not in this root, or no longer")


def without_steps(form: Json) -> Json:
    """A canonical form in which no input is named."""
    if isinstance(form, dict):
        return None if form.keys() == {"step"} else {key: without_steps(item) for key, item in form.items()}
    if isinstance(form, list):
        return [without_steps(item) for item in form if not (isinstance(item, dict) and item.keys() == {"step"})]
    return form


def steps_in(value: Any, where: str) -> Iterator[tuple[str, Step[Any]]]:
    """The steps inside a field's value, with their paths."""
    if isinstance(value, Step):
        yield where, value
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            yield from steps_in(item, f"{where}[{place}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from steps_in(item, f"{where}[{key!r}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name, item in identity_fields(value):
            yield from steps_in(item, f"{where}.{name}")


def topological(targets: Sequence[Step[Any]]) -> list[Step[Any]]:
    """Every step that the targets need, each once, inputs first."""
    ordered: dict[str, Step[Any]] = {}

    def visit(step: Step[Any]) -> None:
        if step.address not in ordered:
            for needed in step.inputs.values():
                visit(needed)
            ordered[step.address] = step

    for target in targets:
        visit(target)
    return list(ordered.values())
