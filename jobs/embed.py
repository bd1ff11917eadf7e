"""Vectors of documents, from the hidden states of a checkpoint; and which documents are most like a text."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.checkpoints import checkpoint_folder, checkpoint_step
from jobs.command import Invocation, Result, execute
from jobs.history.tombstones import read_tombstones
from jobs.launch import carry_out, outcome_result, planned, show_plan
from jobs.recipe import CorpusRecipe
from jobs.terminal import cut, room
from pipeline.documents import Documents, is_utf_8
from pipeline.errors import RequestError
from pipeline.inference.embed import Embed, open_states
from pipeline.inference.hidden_states import check_states
from pipeline.inference.vectors import VECTORS, Pooling, Vectors, nearest
from pipeline.sources.ingest import Ingest
from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.step import Reference, Step

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class EmbedRecipe:
    """A vector for each document, as Parquet. Say which documents by --sources or --documents."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, or a folder with config.json and safetensors; None: the newest in the root."""
    sources: tuple[str, ...] = ()
    """Files, folders, globs, s3://…, https://… or hf://datasets/OWNER/NAME[@REVISION]."""
    text_field: str = "text"
    """The field of a record that holds its text."""
    documents: tuple[str, ...] = ()
    """Documents that are in the root already, such as deduplicate/FINGERPRINT."""
    pooling: Pooling = Pooling()
    hidden: bool = False
    """Keep the hidden state of every token too."""

    def target(self, store: Store) -> Embed:
        """The step that embeds."""
        if not self.sources and not self.documents:
            raise RequestError("there is nothing to embed: name text by --sources, or documents of the root by --documents")
        read = self._ingests(store) if self.sources else ()
        there = tuple(_documents(address, store) for address in self.documents)
        checkpoint = checkpoint_step(self.checkpoint, store)
        return Embed(checkpoint=checkpoint, documents=(*read, *there), pooling=self.pooling, hidden=self.hidden)

    def _ingests(self, store: Store) -> tuple[Ingest, ...]:
        """The sources, without what was forgotten of them."""
        forgotten_of, sources = read_tombstones(store).of_all, CorpusRecipe(sources=self.sources, text_field=self.text_field).located
        return tuple(Ingest(source=source, forgotten=forgotten_of(source)) for source in sources)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of the vectors."""

    like: str | None = None
    """Print the documents whose vectors are most like that of this text."""

    def __post_init__(self) -> None:
        if self.like is not None and (not self.like or not is_utf_8(self.like)):
            raise RequestError(f"--like is {self.like!r}: give a text in UTF-8")


def _documents(address: str, store: Store) -> Step[Documents]:
    manifest = read_manifest(store, address) if "/" in address else None
    if manifest is None or not {"read", "kept"} <= manifest.facts.keys():
        raise RequestError(
            f"there are no documents {address} in {store.url}: name a step that leaves some (python jobs/status.py lists them)"
        )
    return Reference(of=address, opens=Documents)


def embed(invocation: Invocation[EmbedRecipe]) -> Result:
    """Embed the documents."""
    recipe, options = invocation.recipe, invocation.options
    store = open_store(options.root)
    target = recipe.target(store)
    if options.plan:
        return planned((target,), options)
    folder = checkpoint_folder(recipe.checkpoint, options.root)
    check_states(folder, recipe.pooling.layer)  # before any document is read
    outcome = carry_out("embed", (target,), options)
    assert outcome is not None
    manifest = outcome.manifests[target.address]
    vectors, facts = Vectors(store, manifest), manifest.facts
    like = invocation.more.like
    return {
        **outcome_result(outcome),
        "vectors": target.address,
        "files": [f"{store.url}/{entry.place(manifest.address)}" for entry in vectors.files(VECTORS)],
        "documents": {name: facts[name] for name in ("read", "kept", "dropped")},
        **{name: facts[name] for name in ("tokens", "windows", "longer", "width")},
        **({} if like is None else {"nearest": _nearest(vectors, like, recipe, folder)}),
    }


def _nearest(vectors: Vectors, text: str, recipe: EmbedRecipe, folder: Path) -> list[dict[str, Any]]:
    model = open_states(folder, recipe.pooling.layer)
    (windows,) = model.windows([text])
    if not windows:
        raise RequestError(f"--like is {text!r}, of which the tokenizer makes no tokens: give a text")
    return [asdict(each) for each in nearest(vectors, recipe.pooling.vector(model.states(windows)), SHOWN)]


def show(result: Result) -> str:
    """What was embedded, and what is near."""
    if "plan" in result:
        return show_plan(result)
    documents = result["documents"]
    lines = [
        f"read {documents['read']:,} documents",
        *(f"  − {count:>9,}  {reason}" for reason, count in documents["dropped"].items()),
        f"embedded {documents['kept']:,} of {result['tokens']:,} tokens, {result['longer']:,} of them in several windows,"
        f" as vectors of {result['width']:,} numbers",
    ]
    near = [f"{each['cosine']:7.4f}  {cut(each['origin'][::-1], room() - 9)[::-1]}" for each in result.get("nearest", ())]
    return "\n".join([*lines, *([""] if near else []), *near, f"vectors: {result['vectors']}"])


if __name__ == "__main__":
    raise SystemExit(execute("embed", EmbedRecipe, embed, show, more=Asked()))
