"""The encoder and the decoder of transformers' T5ForConditionalGeneration, with a head that never holds the logits of a whole batch.

B batch, S tokens read, T tokens written, D width
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from pipeline.models.vocabulary import VocabularyHead

EMBEDDING = 0.5
"""Spread of the first embedding. The head, which shares it, would begin with confident guesses at T5's own of 1."""


class EncoderDecoder(nn.Module):
    """A text with gaps, and what is written so far, in; mean loss out. Parameters have the names of T5ForConditionalGeneration."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        whole = T5ForConditionalGeneration(T5Config(**settings))
        self.shared, self.encoder, self.decoder = whole.shared, whole.encoder, whole.decoder
        self.scale = whole.model_dim**-0.5
        self.lm_head = VocabularyHead(self.shared.embedding_dim, self.shared.num_embeddings)
        self.lm_head.weight = self.shared.weight
        with torch.no_grad():
            self.shared.weight.normal_(0.0, EMBEDDING)

    def forward(self, read_BS: Tensor, given_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """The mean cross-entropy of `targets`, in fp32; the decoder is given what comes before each of them."""
        encoded_BSD = self.encoder(read_BS).last_hidden_state
        hidden_BTD = self.decoder(given_BT, encoder_hidden_states=encoded_BSD, use_cache=False).last_hidden_state
        loss: Tensor = self.lm_head((hidden_BTD * self.scale).flatten(0, 1), targets_BT.flatten())
        return loss
