"""Which documents a checkpoint was trained on, and when: the order of its data, made anew from its manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.batches.order import Order
from pipeline.batches.phases import Stage
from pipeline.errors import Damaged, RunError
from pipeline.storage import Store
from pipeline.tokens.shards import TokenShards
from pipeline.workflow.artifact import Manifest, manifests, read_manifest

KIND = "pretrain"


@dataclass(frozen=True)
class Recorded:
    """A member of a mixture, as a manifest keeps it."""

    weight: float
    source: str | None


def order_of(store: Store, checkpoint: Manifest) -> Order:
    """The order of a checkpoint's training data. Raises RunError where its token shards are no longer those that it was trained on."""
    recipe = checkpoint.recipe
    first, *then = (
        Stage(phase["at"], _shares(phase["mixture"]), _corpora(store, checkpoint, phase["mixture"], where))
        for where, phase in [("", {"at": 0, "mixture": recipe["mixture"]}), *_phases(recipe)]
    )
    return Order(first.mixture, first.shards, recipe["context"], recipe["batch"], recipe["seed"], then)


def _phases(recipe: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The phases after the first, each with the path of its fields; a run of one phase has no word of them."""
    return [(f"then[{place}].", phase) for place, phase in enumerate(recipe.get("then", ()))]


def _shares(mixture: Sequence[Mapping[str, Any]]) -> list[Recorded]:
    return [Recorded(float(member["weight"]), member["source"]) for member in mixture]


def _corpora(store: Store, checkpoint: Manifest, mixture: Sequence[Mapping[str, Any]], where: str) -> list[TokenShards]:
    """The token shards of a mixture, if they are those that the checkpoint was trained on."""
    corpora = []
    for place, member in enumerate(mixture):
        address = member["tokens"]["step"]
        manifest = read_manifest(store, address)
        if manifest is None:
            raise RunError(f"{address}, on which {checkpoint.address} was trained, is no longer there")
        if manifest.content != checkpoint.inputs[f"{where}mixture[{place}].tokens"]["content"]:
            raise RunError(f"{address} is not what {checkpoint.address} was trained on: it was built again")
        corpora.append(TokenShards(store, manifest))
    return corpora


def steps_of(checkpoint: Manifest) -> int:
    """Updates that a checkpoint was trained for."""
    return int(checkpoint.facts["steps"])


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
            order, steps = order_of(store, checkpoint), steps_of(checkpoint)
            found = {document_id: order.steps_of(document_id, steps) for document_id in document_ids}
            yield Exposure(checkpoint.address, {document_id: seen for document_id, seen in found.items() if seen})
        except (RunError, Damaged) as problem:
            yield Exposure(checkpoint.address, {}, str(problem))
