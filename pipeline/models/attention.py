"""Causal attention that stays inside documents, and the kind of it that today's decoders share: rotary, with grouped queries.

On an accelerator with FlashAttention, documents are told to its kernel by their bounds, and nothing of the size T · T is ever made;
elsewhere, and in fp32, which the kernel does not take, by a mask over all pairs of tokens. `inside_documents` decides, once a batch.

B batch, T tokens, N = B · T, D width, H query heads, G key-value heads, E width of a head
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FLASH_WIDTHS, FLASH_CAPABILITY = range(8, 193, 8), (8, 0)
"""Widths of a head whose gradients FlashAttention makes on any device that it runs on, and the least of those."""


class Bounds(NamedTuple):
    """Where documents begin among the N tokens of a batch's windows, one after the other."""

    starts: Tensor
    """int32 [documents + 1]: the first token of each, and N."""
    longest: int
    """No document has more tokens."""


Mask = Tensor | Bounds | None
"""What a token may see of what came before it: where a mask [B, T, T] is true, its own document, or all."""

Mix = Callable[[Tensor, Tensor, Tensor, Mask], Tensor]
"""Queries, keys, values and a mask in, mixed values out: what `attend` does."""


class CausalAttention(nn.Module):
    """All that passes between the tokens of a window passes through `mix`: workers that hold a slice each put an exchange around it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix: Mix = attend


class RotaryAttention(CausalAttention):
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

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask: Mask) -> Tensor:
        q_BTHE = rotate(self.q_norm(self.q_proj(hidden_BTD).unflatten(-1, (self.heads, self.head_dim))), *rotation)
        k_BTGE = rotate(self.k_norm(self.k_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim))), *rotation)
        v_BTGE = self.v_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim))
        q_BHTE, k_BGTE, v_BGTE = q_BTHE.transpose(1, 2), k_BTGE.transpose(1, 2), v_BTGE.transpose(1, 2)
        mixed_BHTE = self.mix(q_BHTE, k_BGTE, v_BGTE, mask)
        out: Tensor = self.o_proj(mixed_BHTE.transpose(1, 2).flatten(2))
        return out


class HeadNorm(nn.RMSNorm):
    """An RMSNorm in fp32 of what may be narrower."""

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = super().forward(x.float())
        return normed.type_as(x)


def attend(q_BHTE: Tensor, k_BGTE: Tensor, v_BGTE: Tensor, mask: Mask) -> Tensor:
    """The values [B, H, T, E] that each query mixes: of what came before it, and of what the mask leaves of that."""
    if isinstance(mask, Bounds):
        return _attend_between(q_BHTE, k_BGTE, v_BGTE, mask)
    k_BHTE, v_BHTE = repeated(k_BGTE, q_BHTE.shape[1]), repeated(v_BGTE, q_BHTE.shape[1])
    if mask is None:
        return functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, is_causal=True)
    return functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, attn_mask=mask[:, None])


def repeated(x_BGTE: Tensor, heads: int) -> Tensor:
    """Each key-value head as often as there are query heads that share it."""
    groups = x_BGTE.shape[1]
    return x_BGTE if groups == heads else x_BGTE.repeat_interleave(heads // groups, dim=1)


def _attend_between(q_BHTE: Tensor, k_BGTE: Tensor, v_BGTE: Tensor, bounds: Bounds) -> Tensor:
    """The same by FlashAttention (Dao, 2023, arXiv:2307.08691), which computes each document by itself and shares key-value heads out."""
    from torch.nn.attention.varlen import varlen_attn

    q_NHE, k_NGE, v_NGE = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHTE, k_BGTE, v_BGTE))
    starts, longest = bounds
    mixed_NHE = varlen_attn(q_NHE, k_NGE, v_NGE, starts, starts, longest, longest, window_size=(-1, 0), enable_gqa=True)
    assert isinstance(mixed_NHE, Tensor)  # nothing else was asked for
    return mixed_NHE.view(q_BHTE.transpose(1, 2).shape).transpose(1, 2)


def inside_documents(documents_BT: Tensor | None, hidden_BTD: Tensor, head_dim: int) -> Mask:
    """That by which a token of `hidden` sees itself and what came before it in its own document, in the form that its device takes.

    A document is a run of equal numbers: in a row, none comes again after another.
    """
    if documents_BT is None:
        return None
    kind = hidden_BTD.device.type
    precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden_BTD.dtype
    if _flash_takes(hidden_BTD.device, precision, head_dim):
        return bounds_of(documents_BT)
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTT.tril()


def _flash_takes(device: torch.device, precision: torch.dtype, head_dim: int) -> bool:
    return (
        device.type == "cuda"
        and precision in (torch.bfloat16, torch.float16)
        and head_dim in FLASH_WIDTHS
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(device) >= FLASH_CAPABILITY
    )


def bounds_of(documents_BT: Tensor) -> Bounds:
    """The bounds of documents, a window's first token always being one. The device is waited for: how many there are sizes a tensor."""
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    starts = begins_BT.flatten().nonzero().flatten()
    return Bounds(functional.pad(starts, (0, 1), value=documents_BT.numel()).int(), documents_BT.shape[1])


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
