"""The exchange of tokens for heads as DeepSpeed has it; see `pipeline/train/exchange.py`.

B batch, T tokens of a window, t = T / N of a slice, H query heads, h = H / N of a member, G and g key-value heads, E width of a head
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from deepspeed.sequence.layer import DistributedAttention
from torch import Tensor

from pipeline.models.attention import Mask, Mix
from pipeline.train.exchange import Slice, shareable


def exchanged(mix: Mix, own: Slice) -> Mix:
    """DeepSpeed's DistributedAttention around what mixes values. There, tokens stand before heads."""

    def mix_by_tokens(q_BThE: Tensor, k_BTgE: Tensor, v_BTgE: Tensor, mask: Mask) -> Tensor:
        return mix(q_BThE.transpose(1, 2), k_BTgE.transpose(1, 2), v_BTgE.transpose(1, 2), mask).transpose(1, 2)

    attention = DistributedAttention(mix_by_tokens, own.group, scatter_idx=2, gather_idx=1)

    def mixed(q_BHtE: Tensor, k_BGtE: Tensor, v_BGtE: Tensor, mask: Mask) -> Tensor:
        k_BGtE, v_BGtE = shareable(k_BGtE, v_BGtE, q_BHtE.shape[1], own.count)
        by_tokens: Tensor = attention(q_BHtE.transpose(1, 2), k_BGtE.transpose(1, 2), v_BGtE.transpose(1, 2), 0, None, mask)
        return by_tokens.transpose(1, 2)

    return mixed
