"""The states of a corpus: which of its documents were met first in which state of its sources, kept beside its artifacts.

`corpora/RECIPE/NUMBER.json` is written once for every state that was built, RECIPE being a digest of the recipe without the state
of its sources; the files of its parts lie beside it, in `listings`. What a state adds stands behind what was there before, so that it
changes no earlier decision; a file whose content changed, or that came back, is a new one. The states are what makes a refresh
possible; what is built, manifests say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from jobs.history.listings import KeptCatalogue, catalogue_from, keep
from jobs.history.recorded import recipe_from, recorded
from jobs.history.tombstones import Tombstones
from jobs.recipe import CorpusRecipe
from pipeline.errors import Damaged
from pipeline.sources.base import Source
from pipeline.sources.catalogue import Catalogue
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from pipeline.sources.matching import matched
from pipeline.storage import Store
from pipeline.tokens.tokenizer import TokenizerFiles, TrainTokenizer
from pipeline.workflow.artifact import as_utf8
from pipeline.workflow.fingerprint import fingerprint
from pipeline.workflow.step import Reference

FOLDER = "corpora"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of one source was met first in one state of the corpus."""

    source: int
    """Its number among the recipe's sources."""
    snapshot: str
    """The state of the source at that time."""
    tombstones: int
    """How many records of forgotten documents there were at that time."""
    files: Catalogue | None
    """None for a source that is no set of files: it is read whole, or not at all."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A state that was built."""

    number: int
    job: str
    at: str
    recipe: Any
    parts: tuple[Part, ...]
    tombstones: int
    """How many records of forgotten documents it knows."""
    artifacts: Mapping[str, str]
    """Step name → address."""

    def to_json(self) -> bytes:
        return as_utf8(json.dumps({**vars(self), "parts": [_recorded(part) for part in self.parts]}, ensure_ascii=False))

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "State":
        """A state as it lies at an address, which the listings of its parts lie beside."""
        try:
            found = json.loads(data)
            found["parts"] = tuple(_part(part, where.rpartition("/")[0]) for part in found["parts"])
            return cls(**found)
        except (ValueError, TypeError, KeyError) as problem:
            raise Damaged(f"{where} is no state of a corpus ({problem}): delete it to go on from the state before") from problem


def _recorded(part: Part) -> dict[str, Any]:
    assert part.files is None or isinstance(part.files, KeptCatalogue), "listings are kept before the state that names them"
    return {**vars(part), "files": None if part.files is None else part.files.recorded}


def _part(found: dict[str, Any], folder: str) -> Part:
    files = found.pop("files")
    return Part(**found, files=None if files is None else catalogue_from(files, folder))


@dataclass(frozen=True)
class Change:
    """How many files of a source are new (or have changed), gone, and as they were. A source that is no set of files counts as one."""

    new: int
    gone: int
    same: int


def corpus_of(recipe: CorpusRecipe) -> CorpusRecipe:
    """The part of a recipe that says what its corpus is."""
    return CorpusRecipe(**{field.name: getattr(recipe, field.name) for field in fields(CorpusRecipe)})


def folder_of(recipe: CorpusRecipe) -> str:
    """Where the states of a recipe's corpus are kept."""
    return f"{FOLDER}/{fingerprint(recorded(corpus_of(recipe)))}"


def latest(store: Store, folder: str) -> State | None:
    """The last state in a folder."""
    paths = [entry.path for entry in store.list(folder) if entry.path.rsplit("/", 1)[1].removesuffix(".json").isdecimal()]
    return State.from_json(store.get(paths[-1]), f"{store.url}/{paths[-1]}") if paths else None


def corpora(store: Store) -> list[State]:
    """The last state of every corpus in a root."""
    folders = sorted({"/".join(entry.path.split("/")[:2]) for entry in store.list(FOLDER)})
    return [state for folder in folders if (state := latest(store, folder)) is not None]


def recipe_of(state: State) -> CorpusRecipe:
    """The recipe that a state was built by."""
    return recipe_from(state.recipe, CorpusRecipe)


def first_parts(sources: Sequence[Source], tombstones: int) -> tuple[Part, ...]:
    """All that is there, as met for the first time."""
    return tuple(
        Part(source=number, snapshot=source.snapshot, tombstones=tombstones, files=_files(source)) for number, source in enumerate(sources)
    )


def grown_parts(parts: Sequence[Part], sources: Sequence[Source], tombstones: int) -> tuple[Part, ...]:
    """What is left of earlier parts, in their order, and behind them what is new."""
    left, new = [], []
    known = {number: np.zeros(len(files), dtype=bool) for number, source in enumerate(sources) if (files := _files(source)) is not None}
    whole = set()
    for part in parts:
        source = sources[part.source]
        files = _files(source)
        if files is None and source.snapshot == part.snapshot:
            left.append(part)
            whole.add(part.source)
        elif files is not None and part.files is not None:
            still, there = matched(part.files, files)
            known[part.source] |= there
            if still.any():
                left.append(part if still.all() else replace(part, files=part.files.only(still)))
    for part in first_parts(sources, tombstones):
        if part.files is None:
            new += [part] if part.source not in whole else []
        elif not (met := known[part.source]).all():
            new.append(replace(part, files=part.files.only(~met)) if met.any() else part)
    return (*left, *new)


def _files(source: Source) -> Catalogue | None:
    return source.listing.files if isinstance(source, Files) else None


def changes(before: Sequence[Part], sources: Sequence[Source]) -> dict[str, Change]:
    """What has changed in each source since the earlier parts."""
    return {source.name: _change([part for part in before if part.source == number], source) for number, source in enumerate(sources)}


def _change(before: Sequence[Part], source: Source) -> Change:
    files = _files(source)
    if files is None:
        then = {part.snapshot for part in before}
        same = len(then & {source.snapshot})
        return Change(new=1 - same, gone=len(then) - same, same=same)
    known, gone = np.zeros(len(files), dtype=bool), 0
    for part in before:
        if part.files is not None:
            still, there = matched(part.files, files)
            known |= there
            gone += int((~still).sum())
    return Change(new=int((~known).sum()), gone=gone, same=int(known.sum()))


def ingests_of(recipe: CorpusRecipe, parts: Sequence[Part], tombstones: Tombstones) -> tuple[Ingest, ...]:
    """The parts as steps, in order."""
    steps = []
    for part in parts:
        source = recipe.located[part.source]
        if part.files is not None and isinstance(source, Files):
            source = source.among(part.files, part.snapshot)
        forgotten = tombstones.of(source, part.files, part.tombstones)
        steps.append(Ingest(source=source, loss_budget=recipe.loss_budget, forgotten=forgotten))
    return tuple(steps)


def tokenizer_of(recipe: CorpusRecipe, state: State) -> Reference[TokenizerFiles] | None:
    """The tokenizer that was trained on the first state, for all that follow."""
    address = state.artifacts.get(TrainTokenizer.name())
    return Reference(of=address, opens=TokenizerFiles) if recipe.tokenizer is None and address else None


def record(store: Store, job: str, recipe: CorpusRecipe, parts: tuple[Part, ...], tombstones: int, artifacts: Mapping[str, str]) -> State:
    """Keep a state that was built, unless it is the last one already; returns the one in force."""
    folder = folder_of(recipe)
    while True:
        last = latest(store, folder)
        if last is not None and (last.parts, last.tombstones, dict(last.artifacts)) == (parts, tombstones, dict(artifacts)):
            return last
        kept = tuple(part if part.files is None else replace(part, files=keep(store, folder, part.files)) for part in parts)
        state = State(
            number=last.number + 1 if last else 1,
            job=job,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            recipe=recorded(corpus_of(recipe)),
            parts=kept,
            tombstones=tombstones,
            artifacts=artifacts,
        )
        if store.put_new(f"{folder}/{state.number:06d}.json", state.to_json()):
            return state
