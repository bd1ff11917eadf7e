"""What a corpus would be now: the recipe on the present state of its sources, given the states that were built before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from jobs.history.states import (
    Change,
    Part,
    State,
    changes,
    first_parts,
    folder_of,
    grown_parts,
    ingests_of,
    latest,
    record,
    tokenizer_of,
)
from jobs.history.tombstones import Tombstones, read_tombstones
from jobs.recipe import CorpusRecipe
from pipeline.storage import Store
from pipeline.tokens.tokenizer import TrainTokenizer

R = TypeVar("R", bound=CorpusRecipe)


@dataclass(frozen=True)
class Prospect(Generic[R]):
    """A recipe that knows what its corpus has met when."""

    recipe: R
    parts: tuple[Part, ...]
    tombstones: int
    before: State | None
    """The state that it goes on from."""

    @property
    def changes(self) -> Mapping[str, Change]:
        """What has changed in each source since the state before."""
        return changes(self.before.parts if self.before else (), self.recipe.located)

    def record(self, store: Store, job: str) -> State:
        """Keep the state, which was built."""
        recipe = self.recipe
        artifacts = {"deduplicate": recipe.unique.address, "tokenize": recipe.tokens.address}
        if recipe.tokenizer is None:
            artifacts[TrainTokenizer.name()] = recipe.tokenizer_step.address
        return record(store, job, recipe, self.parts, self.tombstones, artifacts)


def as_it_was(recipe: R, store: Store) -> Prospect[R]:
    """The last state, where its sources have not changed since; else all that is there, as met for the first time."""
    state, tombstones = latest(store, folder_of(recipe)), read_tombstones(store)
    if state is not None and grown_parts(state.parts, recipe.located, 0) == state.parts:
        return _prospect(recipe, state.parts, tombstones, state)
    return _prospect(recipe, first_parts(recipe.located, len(tombstones.records)), tombstones, None)


def as_it_grows(recipe: R, store: Store) -> Prospect[R]:
    """The last state with what is new, changed or gone since."""
    state, tombstones = latest(store, folder_of(recipe)), read_tombstones(store)
    parts = grown_parts(state.parts if state else (), recipe.located, len(tombstones.records))
    return _prospect(recipe, parts, tombstones, state)


def _prospect(recipe: R, parts: tuple[Part, ...], tombstones: Tombstones, before: State | None) -> Prospect[R]:
    tokenizer = tokenizer_of(recipe, before) if before else None
    grown = recipe.grown(ingests_of(recipe, parts, tombstones), tokenizer, tombstones.of_all)
    return Prospect(grown, parts, len(tombstones.records), before)
