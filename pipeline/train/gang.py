"""What the members of a gang tell each other, besides gradients. A gang of one needs no process group."""

from typing import TYPE_CHECKING, TypeVar

from pipeline.workflow.step import Member

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def rows_of(member: Member, batch: int, slices: int) -> slice:
    """The rows of a global batch that a member trains on: a share each for every `slices` neighbours, who share each of its windows."""
    share = batch * slices // member.size
    first = member.rank // slices * share
    return slice(first, first + share)


def gather(member: Member, value: T) -> list[T]:
    """Every member's value, in the order of their ranks. To be called by every member; none goes on before all have."""
    if member.size == 1:
        return [value]
    from torch import distributed

    values: list[T | None] = [None] * member.size
    distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def mean(member: Member, device: "torch.device", value: float) -> float:
    """The mean of the members' values, in double precision. To be called by every member."""
    if member.size == 1:
        return value
    import torch
    from torch import distributed

    summed = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return summed.item() / member.size
