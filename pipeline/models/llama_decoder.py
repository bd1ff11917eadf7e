"""A decoder of the Llama family as single-device code; sharding is the engine's.

Parameters carry the names that transformers' LlamaForCausalLM gives them, so that an export is a plain copy.

B batch, T tokens, D width, F inner width, N = B · T, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.attention import Mask, RotaryAttention, inside_documents, places, rotary
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
        initialise(self, recipe.depth)

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
        rotation = rotary(places(tokens_BT, positions_BT), self.head_dim, self.theta)
        hidden_BTD: Tensor = self.embed_tokens(tokens_BT)
        mask = inside_documents(documents_BT, hidden_BTD, self.head_dim)
        for layer in self.layers:
            hidden_BTD = layer(hidden_BTD, rotation, mask)
        normed: Tensor = self.norm(hidden_BTD)
        return normed


class Layer(nn.Module):
    """Attention and a gated feed-forward network, each added to what it read through a norm."""

    def __init__(self, recipe: Llama) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.self_attn = RotaryAttention(recipe.dim, recipe.heads, recipe.groups, recipe.norm_epsilon if recipe.qk_norm else None)
        self.post_attention_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.mlp = FeedForward(recipe)

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask: Mask) -> Tensor:
        hidden_BTD = hidden_BTD + self.self_attn(self.input_layernorm(hidden_BTD), rotation, mask)
        return hidden_BTD + self.mlp(self.post_attention_layernorm(hidden_BTD))  # type: ignore[no-any-return]


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


@torch.no_grad()
def initialise(decoder: nn.Module, depth: int) -> None:
    """Draw the weights from torch's global generator.

    Matrices keep the variance of what passes through them (1 / fan-in). Those that write to the residual stream begin at a
    tenth of that, shared among its writers: a token's embedding, which has to stay small since a tied head would
    otherwise begin with confident guesses, is not drowned by what untrained layers make of it.
    """
    for name, weight in decoder.named_parameters():
        if weight.dim() < 2:
            continue
        spread = weight.shape[-1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight", "experts.down_proj")):
            spread *= WRITERS * (2 * depth) ** -0.5
        elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
            spread *= EMBEDDING
        weight.normal_(0.0, spread)
