"""Causal attention that stays inside documents, and the kind of it that today's decoders share: rotary, with grouped queries.

B batch, T tokens, D width, H query heads, G key-value heads, E width of a head
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import torch
from torch import Tensor, nn
from torch.nn import functional


class RotaryAttention(nn.Module):
    """Grouped-query attention (Ainslie and others, 2023) with rotary positions. Parameters have the names of transformers' Llama.

    With an epsilon for their norm, the queries and keys of each head are normed before they are turned: then no product of theirs grows
    with the weights (Henry and others, 2020, arXiv:2010.04245; Dehghani and others, 2023, arXiv:2302.05442). The names are Qwen3's.
    """

    def __init__(self, dim: int, heads: int, groups: int, norm_epsilon: float | None = None) -> None:
        super().__init__()
        self.heads, self.groups, self.head_dim = heads, groups, dim // heads
        self.q_proj = nn.Linear(dim, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(dim, self.groups * self.head_dim, bias=False)
        self.v_proj = nn.Linear(dim, self.groups * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, dim, bias=False)
        self.q_norm = nn.Identity() if norm_epsilon is None else HeadNorm(self.head_dim, eps=norm_epsilon)
        self.k_norm = nn.Identity() if norm_epsilon is None else HeadNorm(self.head_dim, eps=norm_epsilon)

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask_BTT: Tensor | None) -> Tensor:
        q_BTHE = rotate(self.q_norm(self.q_proj(hidden_BTD).unflatten(-1, (self.heads, self.head_dim))), *rotation)
        k_BTGE = rotate(self.k_norm(self.k_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim))), *rotation)
        v_BTGE = self.v_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim))
        q_BHTE, k_BGTE, v_BGTE = q_BTHE.transpose(1, 2), k_BTGE.transpose(1, 2), v_BTGE.transpose(1, 2)
        mixed_BHTE = attend(q_BHTE, self._shared(k_BGTE), self._shared(v_BGTE), mask_BTT)
        out: Tensor = self.o_proj(mixed_BHTE.transpose(1, 2).flatten(2))
        return out

    def _shared(self, x_BGTE: Tensor) -> Tensor:
        """Each key-value head as often as there are query heads that share it."""
        return x_BGTE if self.groups == self.heads else x_BGTE.repeat_interleave(self.heads // self.groups, dim=1)


class HeadNorm(nn.RMSNorm):
    """An RMSNorm in fp32 of what may be narrower."""

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = super().forward(x.float())
        return normed.type_as(x)


def attend(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor, mask_BTT: Tensor | None) -> Tensor:
    """The values [B, H, T, E] that each query mixes: of what came before it, and of what the mask leaves of that."""
    if mask_BTT is None:
        return functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, is_causal=True)
    return functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, attn_mask=mask_BTT[:, None])


def inside_documents(documents_BT: Tensor) -> Tensor:
    """The mask [B, T, T] by which a token sees itself and what came before it in its own document."""
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTT.tril()


def places(tokens_BT: Tensor, positions_BT: Tensor | None) -> Tensor:
    """The positions [B or 1, T] of tokens: those that are given, or 0 … T - 1."""
    return torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None] if positions_BT is None else positions_BT


def rotary(positions_BT: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, T, 1, E / 2] of rotary positions (Su and others, 2021), in fp32.

    They are made anew in each pass: a buffer would follow the module into bf16, which cannot count positions.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions_BT.device, dtype=torch.float32) / head_dim
    angles = positions_BT[..., None, None].float() * theta**-exponents
    return angles.cos(), angles.sin()


def rotate(x_BTHE: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + E / 2) of a head by its position's angle: the pairing that transformers uses."""
    first, second = x_BTHE.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1).type_as(x_BTHE)
