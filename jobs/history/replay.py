"""Whether a checkpoint was trained on what its manifests give: its batches drawn once more, and compared with the record of its run."""

from dataclasses import dataclass

from jobs.history.exposure import other_corpora, passed_over, present_order, steps_of
from pipeline.batches.chain import START, extended, row_digests
from pipeline.batches.order import Order
from pipeline.errors import RequestError, RunError
from pipeline.storage import Store
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.ledger import CHAIN
from pipeline.train.watch import PASSED
from pipeline.workflow.artifact import Manifest


@dataclass(frozen=True)
class Replayed:
    """A run whose batches are, in every step, those that the manifests give."""

    checkpoint: str
    steps: int
    chain: str
    """The chain of all of them; see `pipeline/batches/chain.py`."""
    other: tuple[str, ...]
    """Token shards that were built again since, with other bytes, which are in no batch."""


def replay(store: Store, checkpoint: Manifest) -> Replayed:
    """Draw all batches of a run once more: some fifty million tokens a second, without a model.

    Raises RunError naming the first step whose batch is another one, and RequestError for a run that kept no record.
    """
    if "batches" not in checkpoint.facts:
        raise RequestError(
            f"{checkpoint.address} kept no record of its batches, as fine-tunings and runs of earlier versions did not: there is nothing to"
            " compare them with; --step and --document say what the manifests give"
        )
    order, chain, rows = _order(store, checkpoint), START, Checkpoint(store, checkpoint).metrics()
    recorded, passed = {row["step"] - 1: row[CHAIN] for row in rows}, passed_over(checkpoint)
    for step in range(steps_of(checkpoint)):
        if step not in passed:
            chain = extended(chain, row_digests(order.batch(step)))
        if recorded.get(step) != chain:
            raise RunError(f"{checkpoint.address} {_broken(step, steps_of(checkpoint))}{_why(store, checkpoint)}")
    if checkpoint.facts["batches"] != {"steps": steps_of(checkpoint), CHAIN: chain}:
        raise RunError(f"the manifest of {checkpoint.address} names another chain than its metrics do: one of them was changed")
    if passed != {row["step"] - 1 for row in rows if PASSED in row}:
        raise RunError(f"the manifest of {checkpoint.address} names other batches that were passed over than its metrics: one was changed")
    return Replayed(checkpoint.address, steps_of(checkpoint), chain, other_corpora(store, checkpoint))


def _order(store: Store, checkpoint: Manifest) -> Order:
    try:
        return present_order(store, checkpoint)
    except RequestError as problem:
        raise RunError(f"the batches of {checkpoint.address} cannot be drawn once more: {problem}") from problem


def _broken(step: int, steps: int) -> str:
    same = f"up to step {step - 1} its batches are the same, but " if step else ""
    return f"was not trained on what the manifests give now: {same}the batch of step {step} is another one (of 0 to {steps - 1})"


def _why(store: Store, checkpoint: Manifest) -> str:
    """What may have changed."""
    if other := other_corpora(store, checkpoint):
        return f"; {', '.join(other)} was built again since, with other bytes"
    return "; its token shards are the same, so its recipe, its metrics or the code that orders them has changed"
