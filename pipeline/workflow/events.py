"""What happens in a run, as data. Progress, lineage, journal and report listen; none of them can stop it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.workflow.artifact import Manifest

if TYPE_CHECKING:
    from pipeline.workflow.step import Step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """A step was looked at: whether it will be built, and why."""

    step: "Step[Any]"
    build: bool
    reason: str


@dataclass(frozen=True)
class Started:
    step: "Step[Any]"


@dataclass(frozen=True)
class Advanced:
    """`done` of `total` units of a phase are committed."""

    step: "Step[Any]"
    phase: str
    done: int
    total: int


@dataclass(frozen=True)
class Reported:
    """A gang's own words on how far it is: step, loss, tokens per second and the like."""

    step: "Step[Any]"
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Built:
    step: "Step[Any]"
    manifest: Manifest
    seconds: float


@dataclass(frozen=True)
class Skipped:
    step: "Step[Any]"
    manifest: Manifest


@dataclass(frozen=True)
class Failed:
    step: "Step[Any]"
    error: BaseException


Event = Planned | Started | Advanced | Reported | Built | Skipped | Failed
Listener = Callable[[Event], None]


def tell(listeners: Sequence[Listener], event: Event) -> None:
    """Pass an event on. A listener that fails is told of in the log and nothing else happens."""
    for listener in listeners:
        try:
            listener(event)
        except Exception as problem:
            log.warning("listener %s failed on %s: %s", type(listener).__name__, type(event).__name__, problem)
