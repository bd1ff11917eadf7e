"""The stages that documents went through, and what each did shard by shard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.documents import DROPPED, Documents
from pipeline.errors import RunError
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Context, Step


@dataclass(frozen=True, kw_only=True)
class Passing:
    """A shard on its way through a stage: the shard as it came, and the ledger of what was dropped of it. Stages are numbered."""

    stage: int
    before: int
    """The stage that the shard is read from."""
    shard: FileEntry
    ledger: FileEntry


def stages_of(step: Step[Any]) -> tuple[Step[Documents], ...]:
    """The stages that documents went through to a step of documents, and itself; each once, inputs first."""
    found = {stage.address: stage for needed in read_by(step) for stage in stages_of(needed)}
    return (*found.values(), step)


def read_by(step: Step[Any]) -> list[Step[Documents]]:
    """The steps whose documents a step reads."""
    return [needed for path, needed in step.inputs.items() if path.partition("[")[0] == "documents"]


def passings(context: Context, stages: Sequence[Step[Documents]]) -> list[Passing]:
    """Every shard of which a stage has dropped something, in order of the stages."""
    numbers = {stage.address: number for number, stage in enumerate(stages)}
    found = [passing for stage in stages for passing in _through(context, stage, numbers)]
    return [passing for passing in found if passing.ledger.rows]


def _through(context: Context, stage: Step[Documents], numbers: dict[str, int]) -> Iterator[Passing]:
    """The shards that a stage has read; none for one that reads no documents, but a source.

    Stages have a unit for each shard, which writes a ledger: so ledgers stand in the order of the shards.
    """
    shards = [(numbers[needed.address], shard) for needed in read_by(stage) for shard in context.open(needed).shards]
    if not shards:
        return
    done = context.open(stage)
    ledgers = done.files(DROPPED)
    if [shard.rows for _, shard in shards] != _rows(done.shards, ledgers):
        raise RunError(f"{stage.address} has not kept a ledger for each shard, so its losses cannot be looked at: leave --report out")
    for (before, shard), ledger in zip(shards, ledgers, strict=True):
        yield Passing(stage=numbers[stage.address], before=before, shard=shard, ledger=ledger)


def _rows(kept: Sequence[FileEntry], ledgers: Sequence[FileEntry]) -> list[int]:
    return [(one.rows or 0) + (other.rows or 0) for one, other in zip(kept, ledgers, strict=False)] if len(kept) == len(ledgers) else []
