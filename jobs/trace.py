"""Which documents a step saw, in which steps a document was seen, what an artifact was made from, and whether all that is so."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from jobs.checkpoints import checkpoint_manifest
from jobs.command import Invocation, Result, execute
from jobs.history.erasure import holds
from jobs.history.exposure import exposures, order_of, passed_over, steps_of
from jobs.history.replay import replay
from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import read_manifest

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class TraceRecipe:
    """Which documents a step saw, in which steps a document was seen, what an artifact was made from, and whether all that is so."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT; None: the newest in the root, or for a document all of them."""
    step: int | None = None
    """A step of the checkpoint's training, from 0: the documents in its batch."""
    document: str | None = None
    """The id of a document: the steps in which each checkpoint was trained on it."""
    artifact: str | None = None
    """STEP/FINGERPRINT: everything that it was made from, back to the sources."""
    verify: bool = False
    """Draw all batches of the checkpoint's training once more, and compare them with the record of its run."""


def trace(invocation: Invocation[TraceRecipe]) -> Result:
    """Answer what is asked; changes nothing."""
    recipe, store = invocation.recipe, open_store(invocation.options.root)
    if [recipe.step, recipe.document, recipe.artifact, recipe.verify or None].count(None) != 3:
        raise RequestError("nothing, or too much, is named to be traced: use one of --step, --document, --artifact and --verify")
    answer: dict[str, Any] = {"built": [], "skipped": []}
    if recipe.verify:
        return answer | {"verified": asdict(replay(store, checkpoint_manifest(recipe.checkpoint, store)))}
    if recipe.step is not None:
        return answer | _documents(store, recipe.checkpoint, recipe.step)
    if recipe.document is not None:
        seen = _steps(store, recipe.checkpoint, recipe.document)
        if not any(seen.values()) and not holds(store, recipe.document):
            raise RequestError(f"no document of {store.url} has the id {recipe.document}: see the column id of the documents")
        return answer | {"document": recipe.document, "checkpoints": seen}
    assert recipe.artifact is not None
    if read_manifest(store, recipe.artifact) is None:
        raise RequestError(f"there is no artifact {recipe.artifact} in {store.url}: python jobs/status.py lists those there are")
    return answer | {"artifact": recipe.artifact, "ancestry": list(_ancestry(store, recipe.artifact, set()))}


def _documents(store: Store, checkpoint: str | None, step: int) -> dict[str, Any]:
    manifest = checkpoint_manifest(checkpoint, store)
    if not 0 <= step < steps_of(manifest):
        raise RequestError(f"--step is {step}, and {manifest.address} was trained for {steps_of(manifest)} steps: use 0 and up, below that")
    found = {"checkpoint": manifest.address, "step": step, "documents": order_of(store, manifest).documents_in(step)}
    return found | ({"passed_over": True} if step in passed_over(manifest) else {})


def _steps(store: Store, checkpoint: str | None, document: str) -> dict[str, Any]:
    """The steps of each checkpoint, or why they cannot be said."""
    chosen = None if checkpoint is None else checkpoint_manifest(checkpoint, store).address
    found = {each.checkpoint: each.unknown or each.steps.get(document, []) for each in exposures(store, [document])}
    return found if chosen is None else {chosen: found[chosen]}


def _ancestry(store: Store, address: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    """An artifact and what it was made from, each once, the nearest first."""
    waiting = [address]
    while waiting:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        manifest = read_manifest(store, address)
        inputs = {path: needed["address"] for path, needed in manifest.inputs.items()} if manifest else {}
        waiting += inputs.values()
        source = manifest.recipe.get("source") if manifest else None
        yield {"address": address, "there": manifest is not None, "inputs": inputs, **({"source": source} if source else {})}


def show(result: Result) -> str:
    """The answer in lines."""
    if "verified" in result:
        return _verified(result["verified"])
    if "documents" in result:
        did = "passed over" if result.get("passed_over") else "saw"
        return "\n".join([f"{result['checkpoint']} {did} in step {result['step']}:", *result["documents"]])
    if "ancestry" in result:
        return "\n".join(_made(row) for row in result["ancestry"])
    lines = [f"{checkpoint}: {_seen(steps)}" for checkpoint, steps in result["checkpoints"].items()]
    return "\n".join(lines) if lines else "there is no checkpoint: python jobs/pretrain.py trains one"


def _verified(found: dict[str, Any]) -> str:
    lines = [f"{found['checkpoint']} was trained on what the manifests give, in all {found['steps']:,} steps: {found['chain']}"]
    lines += [f"{address} was built again since, with other bytes, but none of them is in a batch" for address in found["other"]]
    return "\n".join(lines)


def _made(row: dict[str, Any]) -> str:
    parts = [f"{path} {address}" for path, address in row["inputs"].items()]
    source = row.get("source", {})
    named = [str(source[name]) for name in ("class", "location", "dataset", "snapshot") if name in source]
    made_from = ", ".join([*parts, *([" ".join(named)] if named else [])])
    return f"{row['address']}{'' if row['there'] else ' (no longer there)'}{' ← ' if made_from else ''}{made_from}"


def _seen(steps: list[int] | str) -> str:
    if isinstance(steps, str):
        return steps
    shown = ", ".join(map(str, steps[:SHOWN])) + ("…" if len(steps) > SHOWN else "")
    return f"{len(steps):,} steps: {shown}" if steps else "not trained on it"


if __name__ == "__main__":
    raise SystemExit(execute("trace", TraceRecipe, trace, show))
