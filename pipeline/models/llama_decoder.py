"""A decoder of the Llama family as single-device code; sharding is the engine's.

Parameters carry the names that transformers' LlamaForCausalLM gives them, so that an export is a plain copy.

B batch, T tokens, D width, H query heads, G key-value heads, E width of a head, F inner width, N = B · T, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.llama import Llama
from pipeline.models.vocabulary import VocabularyHead

WRITERS, EMBEDDING = 0.1, 0.5
"""What the first weights of the residual stream's writers and of the embedding are multiplied by."""


class Decoder(nn.Module):
    """The whole model: tokens in, mean loss out."""

    def __init__(self, recipe: Llama, vocab_size: int) -> None:
        super().__init__()
        self.model = Stack(recipe, vocab_size)
        self.lm_head = VocabularyHead(recipe.dim, vocab_size)
        if recipe.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        initialise(self, recipe)

    def forward(
        self, tokens_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None
    ) -> Tensor:
        hidden_BTD = self.model(tokens_BT, documents_BT, positions_BT)
        loss: Tensor = self.lm_head(hidden_BTD.flatten(0, 1), targets_BT.flatten())
        return loss


class Stack(nn.Module):
    """Embedding, layers and the last norm: tokens in, hidden states out."""

    def __init__(self, recipe: Llama, vocab_size: int) -> None:
        super().__init__()
        self.theta, self.head_dim = recipe.rope_theta, recipe.head_dim
        self.embed_tokens = nn.Embedding(vocab_size, recipe.dim)
        self.layers = nn.ModuleList(Layer(recipe) for _ in range(recipe.depth))
        self.norm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None) -> Tensor:
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        rotation = rotary(positions_BT, self.head_dim, self.theta)
        mask_BTT = None if documents_BT is None else inside_documents(documents_BT)
        hidden_BTD: Tensor = self.embed_tokens(tokens_BT)
        for layer in self.layers:
            hidden_BTD = layer(hidden_BTD, rotation, mask_BTT)
        normed: Tensor = self.norm(hidden_BTD)
        return normed


class Layer(nn.Module):
    """Attention and a gated feed-forward network, each added to what it read through a norm."""

    def __init__(self, recipe: Llama) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.self_attn = Attention(recipe)
        self.post_attention_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.mlp = FeedForward(recipe)

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask_BTT: Tensor | None) -> Tensor:
        hidden_BTD = hidden_BTD + self.self_attn(self.input_layernorm(hidden_BTD), rotation, mask_BTT)
        return hidden_BTD + self.mlp(self.post_attention_layernorm(hidden_BTD))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Grouped-query attention (Ainslie and others, 2023) with rotary positions."""

    def __init__(self, recipe: Llama) -> None:
        super().__init__()
        self.heads, self.groups, self.head_dim = recipe.heads, recipe.groups, recipe.head_dim
        self.q_proj = nn.Linear(recipe.dim, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(recipe.dim, self.groups * self.head_dim, bias=False)
        self.v_proj = nn.Linear(recipe.dim, self.groups * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, recipe.dim, bias=False)

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask_BTT: Tensor | None) -> Tensor:
        q_BTHE = rotate(self.q_proj(hidden_BTD).unflatten(-1, (self.heads, self.head_dim)), *rotation)
        k_BTGE = rotate(self.k_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim)), *rotation)
        v_BTGE = self.v_proj(hidden_BTD).unflatten(-1, (self.groups, self.head_dim))
        q_BHTE, k_BGTE, v_BGTE = q_BTHE.transpose(1, 2), k_BTGE.transpose(1, 2), v_BTGE.transpose(1, 2)
        k_BHTE, v_BHTE = self._shared(k_BGTE), self._shared(v_BGTE)
        if mask_BTT is None:
            mixed_BHTE = functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, is_causal=True)
        else:
            mixed_BHTE = functional.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, attn_mask=mask_BTT[:, None])
        out: Tensor = self.o_proj(mixed_BHTE.transpose(1, 2).flatten(2))
        return out

    def _shared(self, x_BGTE: Tensor) -> Tensor:
        """Each key-value head as often as there are query heads that share it."""
        return x_BGTE if self.groups == self.heads else x_BGTE.repeat_interleave(self.heads // self.groups, dim=1)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020)."""

    def __init__(self, recipe: Llama) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(recipe.dim, recipe.inner, bias=False)
        self.up_proj = nn.Linear(recipe.dim, recipe.inner, bias=False)
        self.down_proj = nn.Linear(recipe.inner, recipe.dim, bias=False)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(hidden_BTD)) * self.up_proj(hidden_BTD))
        return out


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


def inside_documents(documents_BT: Tensor) -> Tensor:
    """The mask [B, T, T] by which a token sees itself and what came before it in its own document."""
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTT.tril()


@torch.no_grad()
def initialise(decoder: Decoder, recipe: Llama) -> None:
    """Draw the weights from torch's global generator.

    Matrices keep the variance of what passes through them (1 / fan-in). Those that write to the residual stream begin at a
    tenth of that, shared among its writers: a token's embedding, which has to stay small since a tied head would
    otherwise begin with confident guesses, is not drowned by what untrained layers make of it.
    """
    for name, weight in decoder.named_parameters():
        if weight.dim() < 2:
            continue
        spread = weight.shape[1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            spread *= WRITERS * (2 * recipe.depth) ** -0.5
        elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
            spread *= EMBEDDING
        weight.normal_(0.0, spread)
