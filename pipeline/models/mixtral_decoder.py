"""A mixture-of-experts decoder as single-device code: Llama's, but for the experts in place of one feed-forward network.

Parameters carry the names that transformers' MixtralForCausalLM gives them.

B batch, T tokens, D width
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.models.attention import Mask, RotaryAttention, inside_documents, places, rotary
from pipeline.models.experts import Mixture, Routing
from pipeline.models.llama_decoder import initialise
from pipeline.models.mixtral import Mixtral
from pipeline.models.vocabulary import VocabularyHead


class Decoder(nn.Module):
    """The whole model: tokens in, mean loss out. After a pass, `routing` tells what its routers did."""

    def __init__(self, recipe: Mixtral, vocab_size: int) -> None:
        super().__init__()
        self.model = Stack(recipe, vocab_size)
        self.lm_head = VocabularyHead(recipe.dim, vocab_size)
        if recipe.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        initialise(self, recipe.depth)

    def forward(
        self, tokens_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None
    ) -> Tensor:
        """The routers' terms are in its gradient and not in its value."""
        hidden_BTD, terms = self.model(tokens_BT, documents_BT, positions_BT)
        loss: Tensor = self.lm_head(hidden_BTD.flatten(0, 1), targets_BT.flatten())
        followed: Tensor = loss + (terms - terms.detach())
        return followed

    @property
    def routing(self) -> list[Routing]:
        """What each layer's router did with the tokens of the last pass; nothing before the first."""
        found = (cast(Layer, layer).mlp.routing for layer in self.model.layers)
        return [routing for routing in found if routing is not None]


class Stack(nn.Module):
    """Embedding, layers and the last norm: tokens in, hidden states and the sum of the routers' terms out."""

    def __init__(self, recipe: Mixtral, vocab_size: int) -> None:
        super().__init__()
        self.theta, self.head_dim = recipe.rope_theta, recipe.head_dim
        self.embed_tokens = nn.Embedding(vocab_size, recipe.dim)
        self.layers = nn.ModuleList(Layer(recipe) for _ in range(recipe.depth))
        self.norm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor | None = None, positions_BT: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rotation = rotary(places(tokens_BT, positions_BT), self.head_dim, self.theta)
        hidden_BTD: Tensor = self.embed_tokens(tokens_BT)
        mask = inside_documents(documents_BT, hidden_BTD, self.head_dim)
        terms = []
        for layer in self.layers:
            hidden_BTD, term = layer(hidden_BTD, rotation, mask)
            terms.append(term)
        return self.norm(hidden_BTD), torch.stack(terms).sum()


class Layer(nn.Module):
    """Attention and a mixture of experts, each added to what it read through a norm."""

    def __init__(self, recipe: Mixtral) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.self_attn = RotaryAttention(recipe.dim, recipe.heads, recipe.groups)
        self.post_attention_layernorm = nn.RMSNorm(recipe.dim, eps=recipe.norm_epsilon)
        self.mlp = Mixture(recipe.dim, recipe.inner, recipe.experts, recipe.active, recipe.balance_weight, recipe.z_weight)

    def forward(self, hidden_BTD: Tensor, rotation: tuple[Tensor, Tensor], mask: Mask) -> tuple[Tensor, Tensor]:
        hidden_BTD = hidden_BTD + self.self_attn(self.input_layernorm(hidden_BTD), rotation, mask)
        mixed_BTD, term = self.mlp(self.post_attention_layernorm(hidden_BTD))
        return hidden_BTD + mixed_BTD, term
