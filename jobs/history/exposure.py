"""Which documents a checkpoint was trained on, and when: the order of its data, made anew from its manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.batches.order import Order
from pipeline.batches.phases import Stage
from pipeline.errors import Damaged, RunError
from pipeline.storage import Store
from pipeline.tokens.shards import TokenShards
from pipeline.train.watch import PASSED
from pipeline.workflow.artifact import Manifest, manifests, read_manifest

KIND = "pretrain"


@dataclass(frozen=True)
class Recorded:
    """A member of a mixture, as a manifest keeps it."""

    weight: float
    source: str | None


def order_of(store: Store, checkpoint: Manifest) -> Order:
    """The order of a checkpoint's training data. Raises RunError where its token shards are no longer those that it was trained on."""
    for address in other_corpora(store, checkpoint):
        raise RunError(f"{address} is not what {checkpoint.address} was trained on: it was built again")
    return present_order(store, checkpoint)


def present_order(store: Store, checkpoint: Manifest) -> Order:
    """The order that a checkpoint's recipe gives with the token shards that are there now. Raises RunError where some are not."""
    recipe = checkpoint.recipe
    first, *then = (
        Stage(phase["at"], _shares(phase["mixture"]), [TokenShards(store, corpus) for corpus in _corpora(store, checkpoint, phase)])
        for phase in _phases(recipe).values()
    )
    return Order(first.mixture, first.shards, recipe["context"], recipe["batch"], recipe["seed"], then)


def other_corpora(store: Store, checkpoint: Manifest) -> tuple[str, ...]:
    """Which of a checkpoint's token shards were built again since, with other bytes; each once."""
    found = (
        corpus.address
        for where, phase in _phases(checkpoint.recipe).items()
        for place, corpus in enumerate(_corpora(store, checkpoint, phase))
        if corpus.content != checkpoint.inputs[f"{where}mixture[{place}].tokens"]["content"]
    )
    return tuple(dict.fromkeys(found))


def _phases(recipe: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All phases by the path of their fields; a run of one phase has no word of later ones."""
    later = {f"then[{place}].": phase for place, phase in enumerate(recipe.get("then", ()))}
    return {"": {"at": 0, "mixture": recipe["mixture"]}, **later}


def _shares(mixture: Sequence[Mapping[str, Any]]) -> list[Recorded]:
    return [Recorded(float(member["weight"]), member["source"]) for member in mixture]


def _corpora(store: Store, checkpoint: Manifest, phase: Mapping[str, Any]) -> Iterator[Manifest]:
    """The token shards of a phase."""
    for member in phase["mixture"]:
        address = member["tokens"]["step"]
        manifest = read_manifest(store, address)
        if manifest is None:
            raise RunError(f"{address}, on which {checkpoint.address} was trained, is no longer there")
        yield manifest


def steps_of(checkpoint: Manifest) -> int:
    """Steps that a checkpoint was trained for."""
    return int(checkpoint.facts["steps"])


def passed_over(checkpoint: Manifest) -> set[int]:
    """Those of a checkpoint's steps, from 0, that made no update, so that it saw nothing of their batches."""
    return set(checkpoint.facts.get(PASSED, ()))


@dataclass(frozen=True)
class Exposure:
    """The steps, from 0, of a checkpoint in which each document was seen; or why that cannot be said."""

    checkpoint: str
    steps: dict[str, list[int]]
    unknown: str | None = None


def exposures(store: Store, document_ids: Sequence[str]) -> Iterator[Exposure]:
    """What every checkpoint in a root has seen of some documents."""
    for checkpoint in manifests(store, KIND):
        try:
            order, steps, passed = order_of(store, checkpoint), steps_of(checkpoint), passed_over(checkpoint)
            found = {
                document_id: [step for step in order.steps_of(document_id, steps) if step not in passed] for document_id in document_ids
            }
            yield Exposure(checkpoint.address, {document_id: seen for document_id, seen in found.items() if seen})
        except (RunError, Damaged) as problem:
            yield Exposure(checkpoint.address, {}, str(problem))
