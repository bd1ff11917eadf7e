"""What would run, and why: a decision a step, taken from manifests alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pipeline.storage import Store
from pipeline.workflow.artifact import Manifest, manifests, read_manifest
from pipeline.workflow.fingerprint import Json, differences
from pipeline.workflow.reach import code_of
from pipeline.workflow.step import Reference, Step, topological

SHOWN_DIFFERENCES = 3


class Rebuild(Enum):
    """What to do about a step whose code has changed since it was built, under the same version."""

    NEVER = "never"
    CHANGED = "changed"


@dataclass(frozen=True)
class Decision:
    """Whether a step will be built, and why; `manifest` is the one in force, if there is one."""

    step: Step[Any]
    build: bool
    reason: str
    manifest: Manifest | None


def plan(targets: Sequence[Step[Any]], store: Store, rebuild: Rebuild = Rebuild.NEVER) -> list[Decision]:
    """The decision on every step that the targets need, inputs first. Changes nothing."""
    decisions: dict[str, Decision] = {}
    for step in topological(targets):
        decisions[step.address] = decide(step, store, rebuild, decisions)
    return list(decisions.values())


def decide(step: Step[Any], store: Store, rebuild: Rebuild, decided: Mapping[str, Decision], planned: str = "") -> Decision:
    """The decision on one step, given those on its inputs; `planned` is why it is built where it is not there, if that is known."""
    manifest = read_manifest(store, step.address)
    if manifest is not None and isinstance(step, Reference):
        return Decision(step, False, "built", manifest)
    if manifest is None:
        return Decision(step, True, planned or _why_missing(step, store), None)
    changed_inputs = [path for path, needed in step.inputs.items() if _input_changed(manifest, path, decided[needed.address])]
    if changed_inputs:
        return Decision(step, True, f"input changed: {', '.join(changed_inputs)}", manifest)
    changed_code = _changed_code(step, manifest)
    if changed_code:
        reason = f"code changed since it was built: {', '.join(changed_code)}"
        return Decision(step, rebuild is Rebuild.CHANGED, reason, manifest)
    return Decision(step, False, "built", manifest)


def _input_changed(manifest: Manifest, path: str, decision: Decision) -> bool:
    """An input that will be built anew may come out the same: that is seen when it is there."""
    return decision.manifest is not None and manifest.inputs[path]["content"] != decision.manifest.content


def _changed_code(step: Step[Any], manifest: Manifest) -> list[str]:
    built, now = manifest.provenance.get("code", {}), code_of(step)
    return sorted(module for module in built.keys() | now.keys() if built.get(module) != now.get(module))


def _why_missing(step: Step[Any], store: Store) -> str:
    """What differs from the most alike artifact of the same kind."""
    recipe = step.recipe
    alike = [list(differences(other.recipe, recipe)) for other in manifests(store, step.name())]
    if not alike:
        return "not built"
    nearest = min(alike, key=len)
    moved = [path for path, old, new in nearest if _is_step(old) or _is_step(new)]
    own = [f"{path} {_short(old)} → {_short(new)}" for path, old, new in nearest if path not in moved]
    if not own:
        return f"input changed: {', '.join(moved)}"
    more = f" and {len(own) - SHOWN_DIFFERENCES} more" if len(own) > SHOWN_DIFFERENCES else ""
    return f"recipe changed: {'; '.join(own[:SHOWN_DIFFERENCES])}{more}"


def _is_step(form: Json) -> bool:
    return isinstance(form, dict) and form.keys() == {"step"}


def _short(form: Json) -> str:
    if isinstance(form, dict):
        return str(form.get("class", "…"))
    if isinstance(form, list):
        form = f"[{', '.join(_short(item) for item in form)}]"
    text = str(form)
    return text if len(text) <= 60 else text[:57] + "…"
