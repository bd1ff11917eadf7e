"""A checkpoint as a folder for the Hugging Face Hub, with a card that tells its making, and for llama.cpp if asked."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import dataclass

from jobs.checkpoints import checkpoint_folder, checkpoint_step
from jobs.command import Invocation, Result, execute
from jobs.launch import carry_out, outcome_result, planned, show_plan
from pipeline.storage import Store, open_store
from pipeline.train.hub_card import Card
from pipeline.train.hub_folder import Form, HubFolder, check_form
from pipeline.workflow.artifact import Artifact, manifests, read_manifest
from pipeline.workflow.step import Reference, Step
from pipeline.workflow.unit import open_artifact


@dataclass(frozen=True, kw_only=True)
class ExportRecipe:
    """A checkpoint as a folder for the Hugging Face Hub."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, or a folder with config.json and safetensors; None: the newest in the root."""
    form: Form = Form()
    card: Card = Card()

    def target(self, store: Store) -> HubFolder:
        """The step that writes the folder."""
        checkpoint = checkpoint_step(self.checkpoint, store)
        there, missing = ancestry(store, checkpoint.address)
        scored = sorted(
            manifest.address
            for manifest in manifests(store, "evaluate")
            if manifest.inputs.get("checkpoint", {}).get("address") == checkpoint.address
        )
        return HubFolder(
            checkpoint=checkpoint,
            lineage=_references(there),
            missing=tuple(missing),
            evaluations=_references(scored),
            form=self.form,
            card=self.card,
        )


def _references(addresses: list[str]) -> tuple[Step[Artifact], ...]:
    return tuple(Reference(of=address, opens=Artifact) for address in addresses)


def ancestry(store: Store, address: str) -> tuple[list[str], list[str]]:
    """The addresses of what an artifact was made from, inputs first: those that are there, and those that no longer are."""
    there, missing = list[str](), list[str]()
    waiting, seen = [(address, False)], set[str]()
    while waiting:
        current, done = waiting.pop()
        if done:
            there.append(current)
            continue
        if current in seen:
            continue
        seen.add(current)
        manifest = read_manifest(store, current)
        if manifest is None:
            missing.append(current)
            continue
        waiting.append((current, True))
        waiting += [(needed["address"], False) for needed in reversed(manifest.inputs.values())]
    return [other for other in there if other != address], [other for other in missing if other != address]


def export(invocation: Invocation[ExportRecipe]) -> Result:
    """Write the folder."""
    recipe, options = invocation.recipe, invocation.options
    store = open_store(options.root)
    target = recipe.target(store)
    if options.plan:
        return planned((target,), options)
    check_form(checkpoint_folder(recipe.checkpoint, options.root), recipe.form)
    outcome = carry_out("export", (target,), options)
    assert outcome is not None
    folder, facts = open_artifact(store, target), outcome.manifests[target.address].facts
    return {**outcome_result(outcome), "checkpoint": target.checkpoint.address, "folder": str(folder.path), **facts}


def show(result: Result) -> str:
    """Where the folder is, and what is done with it."""
    if "plan" in result:
        return show_plan(result)
    files = "one file" if result["files"] == 1 else f"{result['files']:,} files"
    return "\n".join(
        [
            f"{result['checkpoint']}: {result['parameters']:,} parameters, {result['bytes']:,} bytes in {files}",
            *([f"for llama.cpp: {result['folder']}/{result['gguf']}"] if result["gguf"] else ()),
            f"folder: {result['folder']}",
            f"to put it on the Hub: hf upload OWNER/NAME {result['folder']}",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(execute("export", ExportRecipe, export, show))
