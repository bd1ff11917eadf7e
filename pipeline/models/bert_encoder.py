"""The encoder of transformers' BertForMaskedLM, called so that documents stay apart and only what is predicted meets the vocabulary.

B batch, T tokens, K predicted tokens, D width, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM

POSITIONS = 0.1
"""What first position embeddings are multiplied by, so that what a token is shows before where it stands."""


class Encoder(nn.Module):
    """Tokens with some of them hidden in, mean loss out. Parameters have the names of BertForMaskedLM."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        whole = BertForMaskedLM(BertConfig(**settings, pad_token_id=None))  # no token is padding here: all embeddings learn
        self.bert, self.cls = whole.bert, whole.cls
        with torch.no_grad():
            self.bert.embeddings.position_embeddings.weight.mul_(POSITIONS)
            self.bert.embeddings.token_type_embeddings.weight.zero_()

    def forward(
        self,
        tokens_BT: Tensor,
        places_BK: Tensor,
        targets_BK: Tensor,
        documents_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """The mean over windows of the mean cross-entropy of their predictions, in fp32.

        So every window counts the same, and any division of a batch gives the same gradients. Nearly all windows have the same number of
        predictions, and then it is the mean over all of them. A window with none counts as 0.
        """
        mask_BTT = None if documents_BT is None else documents_BT[:, :, None] == documents_BT[:, None, :]
        hidden_BTD = self.bert(
            tokens_BT,
            attention_mask=None if mask_BTT is None else mask_BTT[:, None],
            position_ids=None if positions_BT is None else positions_BT.long(),
        ).last_hidden_state
        hidden_BKD = hidden_BTD.gather(1, places_BK[..., None].expand(-1, -1, hidden_BTD.shape[-1]))
        logits_BKV = self.cls(hidden_BKD).float()
        nats_BK = functional.cross_entropy(logits_BKV.flatten(0, 1), targets_BK.flatten(), reduction="none").view_as(targets_BK)
        loss: Tensor = (nats_BK.sum(dim=1) / (targets_BK >= 0).sum(dim=1).clamp(min=1)).mean()
        return loss
