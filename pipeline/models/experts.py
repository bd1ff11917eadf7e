"""A layer of experts: a router that sends each token to a few of many networks, and what it is to be held to.

Tokens are brought together by expert, so that each expert's product is one dense one over its tokens, and are put back in
their places by the inverse of the same permutation. Nothing is added up in an order that may change: the sums are
the same from run to run on any device.

B batch, T tokens of a window, N = B · T, D width, X experts, K experts that a token passes through, F inner width of one
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Routing:
    """What the router of a layer did with the tokens that it saw last; tensors without a graph, on the layer's device."""

    tokens_per_expert: Tensor
    """[X]; they sum to N · K less what was dropped."""
    entropy: Tensor
    """Of the probabilities over experts, in nats, a mean over tokens: log X where the router has no opinion."""
    balance: Tensor
    """The load-balancing term: 1 where all experts are used alike, X where one is used alone."""
    z: Tensor
    """The z-term: the mean square of the logits' log-sum-exp."""
    dropped: int = 0
    """Tokens that an expert had no room for: none, since there is no greatest load."""


class Mixture(nn.Module):
    """A router and its experts. After each pass, `routing` holds its figures.

    `counted` makes the choices [B, X] of whole windows of those that are seen here: the same, unless workers hold a slice of a window each.
    The balance is a sum over a window's tokens once these are known, so the mean of the slices' terms is the window's.
    """

    def __init__(self, dim: int, inner: int, experts: int, active: int, balance_weight: float, z_weight: float) -> None:
        super().__init__()
        self.active, self.balance_weight, self.z_weight = active, balance_weight, z_weight
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = Experts(dim, inner, experts)
        self.routing: Routing | None = None
        self.counted: Callable[[Tensor], Tensor] = lambda counts_BX: counts_BX

    def forward(self, hidden_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """What the experts make of the hidden states [B, T, D], and the term [] that goes into the gradient for the router's sake.

        The router computes in fp32 whatever the precision of the products (Fedus and others, 2021, section 2.4).
        """
        with torch.autocast(hidden_BTD.device.type, enabled=False):
            logits_BTX: Tensor = self.gate(hidden_BTD.float())
        odds_BTX = logits_BTX.softmax(dim=-1)
        weights_BTK, chosen_BTK = odds_BTX.topk(self.active, dim=-1)
        weights_BTK = weights_BTK / weights_BTK.sum(dim=-1, keepdim=True)
        counts_BX = _counts(chosen_BTK, logits_BTX.shape[-1])
        balance, z = _balance(odds_BTX, self.counted(counts_BX)), logits_BTX.logsumexp(dim=-1).square().mean()
        self._note(odds_BTX.detach(), counts_BX, balance.detach(), z.detach())
        counts_X = counts_BX.sum(dim=0)
        out_ND = self.experts(hidden_BTD.flatten(0, 1), chosen_BTK.flatten(0, 1), weights_BTK.flatten(0, 1), counts_X)
        return out_ND.view_as(hidden_BTD), self.balance_weight * balance + self.z_weight * z

    def _note(self, odds_BTX: Tensor, counts_BX: Tensor, balance: Tensor, z: Tensor) -> None:
        entropy = -torch.xlogy(odds_BTX, odds_BTX).sum(dim=-1).mean()
        self.routing = Routing(counts_BX.sum(dim=0), entropy, balance, z)


class Experts(nn.Module):
    """Feed-forward networks side by side, each SwiGLU (Shazeer, 2020).

    The weights of all are one parameter each for the way in and the way out, so that every step has a gradient for them, of
    zeros where an expert had no token: no worker waits for another's, and no moment of the optimizer is missing.
    """

    def __init__(self, dim: int, inner: int, experts: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(experts, 2 * inner, dim))
        self.down_proj = nn.Parameter(torch.empty(experts, dim, inner))

    def forward(self, hidden_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor, counts_X: Tensor) -> Tensor:
        """The weighted sum [N, D] of what each token's experts make of it; `counts_X` are the tokens that each expert gets."""
        by_expert = chosen_NK.flatten().argsort(stable=True)
        copies = hidden_ND[:, None].expand(-1, chosen_NK.shape[1], -1).flatten(0, 1)  # one for each expert of a token
        shares = copies.index_select(0, by_expert).split_with_sizes(counts_X.tolist())
        networks = zip(shares, self.gate_up_proj.unbind(), self.down_proj.unbind(), strict=True)
        made = torch.cat([_swiglu(share, gate_up, down) for share, gate_up, down in networks])
        made_NKD = made.index_select(0, by_expert.argsort()).view(*chosen_NK.shape, -1)
        mixed_ND = (made_NKD * weights_NK[..., None]).sum(dim=1)
        return mixed_ND.type_as(hidden_ND)


def _swiglu(hidden: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    gate, up = functional.linear(hidden, gate_up).chunk(2, dim=-1)
    return functional.linear(functional.silu(gate) * up, down)


def _counts(chosen_BTK: Tensor, experts: int) -> Tensor:
    """How often each window has chosen each expert: [B, X]."""
    rows = torch.arange(len(chosen_BTK), device=chosen_BTK.device)[:, None, None]
    return (chosen_BTK + experts * rows).flatten().bincount(minlength=len(chosen_BTK) * experts).view(-1, experts)


def _balance(odds_BTX: Tensor, counts_BX: Tensor) -> Tensor:
    """X · Σ over experts of (share of a window's choices) · (mean probability in it), a mean over windows (Fedus and others, 2021)."""
    shares_BX = counts_BX / counts_BX.sum(dim=1, keepdim=True)
    return odds_BTX.shape[-1] * (shares_BX * odds_BTX.mean(dim=1)).sum(dim=1).mean()
