"""GPT-2 as single-device code; sharding is the engine's.

Parameters carry the names that transformers' GPT2LMHeadModel gives them.

B batch, T tokens, D width, H heads, E width of a head
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.attention import CausalAttention, Mask, inside_documents, places
from pipeline.models.gpt2 import GPT2
from pipeline.models.vocabulary import VocabularyHead

SPREAD = 0.02
"""Standard deviation of the first weights."""


class Decoder(nn.Module):
    """The whole model: tokens in, mean loss out."""

    def __init__(self, recipe: GPT2, vocab_size: int, context: int) -> None:
        super().__init__()
        self.transformer = Stack(recipe, vocab_size, context)
        self.lm_head = VocabularyHead(recipe.dim, vocab_size)
        self.lm_head.weight = self.transformer.wte.weight
        initialise(self, recipe.depth)

    def forward(
        self, tokens_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None
    ) -> Tensor:
        hidden_BTD = self.transformer(tokens_BT, documents_BT, positions_BT)
        loss: Tensor = self.lm_head(hidden_BTD.flatten(0, 1), targets_BT.flatten())
        return loss


class Stack(nn.Module):
    """Embeddings of tokens and positions, layers and the last norm: tokens in, hidden states out."""

    def __init__(self, recipe: GPT2, vocab_size: int, context: int) -> None:
        super().__init__()
        self.head_dim = recipe.dim // recipe.heads
        self.wte = nn.Embedding(vocab_size, recipe.dim)
        self.wpe = nn.Embedding(context, recipe.dim)
        self.h = nn.ModuleList(Layer(recipe) for _ in range(recipe.depth))
        self.ln_f = nn.LayerNorm(recipe.dim, eps=recipe.norm_epsilon)

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None) -> Tensor:
        hidden_BTD = self.wte(tokens_BT) + self.wpe(places(tokens_BT, positions_BT))
        mask = inside_documents(documents_BT, hidden_BTD, self.head_dim)
        for layer in self.h:
            hidden_BTD = layer(hidden_BTD, mask)
        normed: Tensor = self.ln_f(hidden_BTD)
        return normed


class Layer(nn.Module):
    """Attention and a feed-forward network, each added to what it read through a norm."""

    def __init__(self, recipe: GPT2) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.attn = Attention(recipe)
        self.ln_2 = nn.LayerNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.mlp = FeedForward(recipe)

    def forward(self, hidden_BTD: Tensor, mask: Mask) -> Tensor:
        hidden_BTD = hidden_BTD + self.attn(self.ln_1(hidden_BTD), mask)
        return hidden_BTD + self.mlp(self.ln_2(hidden_BTD))  # type: ignore[no-any-return]


class Attention(CausalAttention):
    """Multi-head attention (Vaswani and others, 2017)."""

    def __init__(self, recipe: GPT2) -> None:
        super().__init__()
        self.heads = recipe.heads
        self.c_attn = nn.Linear(recipe.dim, 3 * recipe.dim)
        self.c_proj = nn.Linear(recipe.dim, recipe.dim)

    def forward(self, hidden_BTD: Tensor, mask: Mask) -> Tensor:
        parts = self.c_attn(hidden_BTD).chunk(3, dim=-1)
        q_BHTE, k_BHTE, v_BHTE = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed_BHTE = self.mix(q_BHTE, k_BHTE, v_BHTE, mask)
        out: Tensor = self.c_proj(mixed_BHTE.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Two layers with GELU between them (Hendrycks and Gimpel, 2016), in the form that uses tanh."""

    def __init__(self, recipe: GPT2) -> None:
        super().__init__()
        self.c_fc = nn.Linear(recipe.dim, recipe.inner)
        self.c_proj = nn.Linear(recipe.inner, recipe.dim)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(hidden_BTD), approximate="tanh"))
        return out


@torch.no_grad()
def initialise(decoder: Decoder, depth: int) -> None:
    """Draw the weights from torch's global generator; what writes to the residual stream is scaled by the root of its writers' number."""
    for name, weight in decoder.named_parameters():
        if weight.dim() > 1:
            weight.normal_(0.0, SPREAD * (2 * depth) ** -0.5 if name.endswith("c_proj.weight") else SPREAD)
        elif name.endswith("bias"):
            weight.zero_()
