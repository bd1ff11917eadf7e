"""Which documents a checkpoint was trained on, and when: the order of its data, made anew from its manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.batches.order import Order
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
    corpora = []
    for place, member in enumerate(recipe["mixture"]):
        address = member["tokens"]["step"]
        manifest = read_manifest(store, address)
        if manifest is None:
            raise RunError(f"{address}, on which {checkpoint.address} was trained, is no longer there")
        if manifest.content != checkpoint.inputs[f"mixture[{place}].tokens"]["content"]:
            raise RunError(f"{address} is not what {checkpoint.address} was trained on: it was built again")
        corpora.append(TokenShards(store, manifest))
    shares = [Recorded(float(member["weight"]), member["source"]) for member in recipe["mixture"]]
    return Order(shares, corpora, recipe["context"], recipe["batch"], recipe["seed"])


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
