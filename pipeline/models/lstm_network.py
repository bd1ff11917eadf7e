"""An LSTM language model as single-device code; sharding is the engine's.

B batch, T tokens, D width of the embedding, H width of a state, L layers
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.lstm import Lstm
from pipeline.models.vocabulary import VocabularyHead

EMBEDDING = 4.0
"""What the first weights of the embedding are multiplied by: what enters small is smaller behind every gate, and is learned from late."""
State = tuple[Tensor, Tensor]
"""What the layers put out last, and their cells; each [L, B, H]."""


class Network(nn.Module):
    """The whole model: tokens in, mean loss out."""

    def __init__(self, recipe: Lstm, vocab_size: int) -> None:
        super().__init__()
        self.model = Recurrence(vocab_size, recipe.dim, recipe.width, recipe.depth, recipe.dropout)
        self.lm_head = VocabularyHead(recipe.width, vocab_size)
        if recipe.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        initialise(self)

    def forward(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        documents_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,  # noqa: ARG002 - a state counts by itself
    ) -> Tensor:
        with _chance_of(tokens_BT) if self.model.dropout else nullcontext():
            hidden_BTH, _ = self.model(tokens_BT, documents_BT)
        loss: Tensor = self.lm_head(hidden_BTH.flatten(0, 1), targets_BT.flatten())
        return loss


class Recurrence(nn.Module):
    """Embedding and layers: tokens in, hidden states out."""

    def __init__(self, vocab_size: int, dim: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.embed_tokens = nn.Embedding(vocab_size, dim)
        self.lstm = Layers(dim, width, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0)

    def forward(self, tokens_BT: Tensor, documents_BT: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """The hidden states [B, T, H], and the state after the last token of each row; `state` is for rows that go on.

        Nothing is dropped where no gradient is asked for, so that a held-out loss is the whole network's.
        """
        self.lstm.train(dropped := self.training and torch.is_grad_enabled())
        embedded_BTD = functional.dropout(self.embed_tokens(tokens_BT), self.dropout, dropped)
        hidden_BTH, after = self.lstm(embedded_BTD, documents_BT, state)
        return functional.dropout(hidden_BTH, self.dropout, dropped), after


class Layers(nn.LSTM):
    """The layers of PyTorch's LSTM, whose state begins anew with each document.

    It is one module to an engine that shares out weights: all members gather them once in a pass, however many pieces each has.
    """

    def forward(  # type: ignore[override]
        self, x_BTD: Tensor, documents_BT: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """One call where no row holds more than one document, else one from each place where a document begins in some row to the next."""
        cuts = [] if documents_BT is None else _cuts(documents_BT)
        if documents_BT is None or not cuts:
            return super().forward(x_BTD, state)
        hidden, state = super().forward(x_BTD[:, : cuts[0]], state)
        pieces = [hidden]
        for start, stop in pairwise([*cuts, x_BTD.shape[1]]):
            goes_on_B1 = (documents_BT[:, start] == documents_BT[:, start - 1])[:, None]
            last_LBH, cells_LBH = state
            hidden, state = super().forward(x_BTD[:, start:stop], (last_LBH * goes_on_B1, cells_LBH * goes_on_B1))
            pieces.append(hidden)
        return torch.cat(pieces, dim=1), state


def _cuts(documents_BT: Tensor) -> list[int]:
    """The places where a document begins in some row, but for the first."""
    begins_T = (documents_BT[:, 1:] != documents_BT[:, :-1]).any(dim=0)
    places: list[int] = (begins_T.nonzero().flatten() + 1).tolist()
    return places


@contextmanager
def _chance_of(tokens: Tensor) -> Iterator[None]:
    """What is dropped is drawn by the tokens themselves, so that a run which is resumed drops what it would have dropped."""
    with torch.random.fork_rng(devices=[tokens.device] if tokens.device.type == "cuda" else []):
        torch.manual_seed(zlib.crc32(tokens.cpu().numpy().tobytes()))
        yield


@torch.no_grad()
def initialise(network: Network) -> None:
    """Draw the weights from torch's global generator: matrices with spread fan-in ** -0.5, but for the embedding, and no biases."""
    for name, weight in network.named_parameters():
        if weight.dim() < 2:
            weight.zero_()
        else:
            weight.normal_(0.0, (EMBEDDING if name.endswith("embed_tokens.weight") else 1.0) * weight.shape[1] ** -0.5)
