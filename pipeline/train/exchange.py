"""Windows that neighbouring members of a gang share, so that long ones fit: each holds a slice of the tokens (Ulysses; Jacobs and
others, 2023, arXiv:2309.14509).

A member is given its windows whole, which as numbers of tokens are small, and passes its slice of them through the model. Attention alone
needs more: there, members exchange tokens for heads. Each then has a share of the heads over whole windows, mixes them as a single
device does, under the same mask, and the values go back. Slices are of one length and every token's loss counts alike, so the mean
over members of their slices' losses is the windows' loss, and the mean of their gradients is its gradient.

B batch, T tokens of a window, t = T / N of a slice, H query heads, h = H / N of a member, G and g key-value heads, E width of a head,
X experts, N members that share a window
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn

from pipeline.models.attention import CausalAttention, Mask, Mix, places, repeated
from pipeline.models.experts import Mixture
from pipeline.workflow.step import Member


@dataclass(frozen=True)
class Slice:
    """A member's part of its windows."""

    part: int
    count: int
    """Members that share each window."""
    group: distributed.ProcessGroup
    """Theirs, in the order of the parts."""

    @classmethod
    def of(cls, member: Member, count: int) -> "Slice":
        """To be called by every member: the groups of all are made by all, in one order."""
        groups = [distributed.new_group(list(range(first, first + count))) for first in range(0, member.size, count)]
        return cls(member.rank % count, count, groups[member.rank // count])

    def cut(self, whole_BT: Tensor) -> Tensor:
        """This member's columns of what is there for every token."""
        return whole_BT.tensor_split(self.count, dim=1)[self.part]

    def added(self, value: Tensor) -> Tensor:
        """The sum of the members' values, without a graph."""
        summed = value.detach().clone()
        distributed.all_reduce(summed, group=self.group)
        return summed


Exchanged = Callable[[Mix, Slice], Mix]
"""Puts the exchange of tokens for heads, and back, around what mixes values."""


def share_windows(model: nn.Module, own: Slice, exchanged: Exchanged) -> None:
    """Let a model that is called with whole windows, in all members that share them, compute their loss in slices."""
    for module in model.modules():
        if isinstance(module, CausalAttention):
            module.mix = exchanged(module.mix, own)
        elif isinstance(module, Mixture):
            module.counted = own.added
    model.forward = partial(_sliced, model.forward, own)


def _sliced(
    forward: Callable[..., Tensor],
    own: Slice,
    tokens_BT: Tensor,
    targets_BT: Tensor,
    documents_BT: Tensor | None = None,
    positions_BT: Tensor | None = None,
) -> Tensor:
    """The loss of whole windows, with the gradient of this member's slice. Documents stay whole, since the mask is made of them."""
    positions = own.cut(places(tokens_BT, positions_BT))
    loss = forward(own.cut(tokens_BT), own.cut(targets_BT), documents_BT, positions)
    return loss + (own.added(loss) / own.count - loss.detach())


def exchanged(mix: Mix, own: Slice) -> Mix:
    """The exchange in plain PyTorch, with which those of other engines are compared."""

    def mixed(q_BHtE: Tensor, k_BGtE: Tensor, v_BGtE: Tensor, mask: Mask) -> Tensor:
        k_BGtE, v_BGtE = shareable(k_BGtE, v_BGtE, q_BHtE.shape[1], own.count)
        q_BhTE, k_BgTE, v_BgTE = (heads_for_tokens(x, own) for x in (q_BHtE, k_BGtE, v_BGtE))
        return tokens_for_heads(mix(q_BhTE, k_BgTE, v_BgTE, mask), own)

    return mixed


def shareable(k_BGtE: Tensor, v_BGtE: Tensor, heads: int, count: int) -> tuple[Tensor, Tensor]:
    """Keys and values in heads that `count` members can share: where they cannot share these, as many as there are query heads."""
    return (k_BGtE, v_BGtE) if k_BGtE.shape[1] % count == 0 else (repeated(k_BGtE, heads), repeated(v_BGtE, heads))


def heads_for_tokens(x_BHtE: Tensor, own: Slice) -> Tensor:
    """[B, h, T, E]: all tokens of this member's heads."""
    x_NBhtE = _AllToAll.apply(x_BHtE.unflatten(1, (own.count, -1)).movedim(1, 0), own.group)  # type: ignore[no-untyped-call]
    whole: Tensor = x_NBhtE.movedim(0, 2).flatten(2, 3)
    return whole


def tokens_for_heads(x_BhTE: Tensor, own: Slice) -> Tensor:
    """[B, H, t, E]: all heads of this member's tokens."""
    x_NBhtE = _AllToAll.apply(x_BhTE.unflatten(2, (own.count, -1)).movedim(2, 0), own.group)  # type: ignore[no-untyped-call]
    whole: Tensor = x_NBhtE.movedim(0, 1).flatten(1, 2)
    return whole


class _AllToAll(torch.autograd.Function):
    """Row k goes to member k, and what member k sent is row k. The gradients go back the same way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: distributed.ProcessGroup) -> Tensor:
        ctx.group = group
        sent = rows.contiguous()
        received = torch.empty_like(sent)
        distributed.all_to_all_single(received, sent, group=group)
        return received

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        returned: Tensor = _AllToAll.apply(slopes, ctx.group)  # type: ignore[no-untyped-call]
        return returned, None
