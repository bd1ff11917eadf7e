"""What an answer owes to each token that was read: integrated gradients (Sundararajan and others, 2017, arXiv:1703.01365).

The path runs in a straight line from a baseline, in which every token but the fixed ones is the mean of all embeddings and so says
nothing of its own, to the text as it is. Along it the slope of the answer's log-probability is summed, by Gauss and Legendre's rule.
What is owed to all tokens together is then the change of the log-probability from baseline to text, but for an error of the sum, which
is the completeness gap. Where a mixture's experts take turns on the path the log-probability jumps, and the gap holds these jumps too.

S points of the path, T tokens, D width
"""
# ruff: noqa: N806 - shape letters are capitals

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

TOKENS_AT_ONCE, LOGITS_AT_ONCE = 1 << 12, 1 << 27
"""Of the points of the path that are taken together, since some models give logits for every token."""
TINY = 1e-30


@dataclass(frozen=True)
class Importance:
    """What each token that was read adds to an answer's log-probability, in nats."""

    scores: tuple[float, ...]
    baseline: float
    """The log-probability where nothing is said."""
    reached: float
    """The log-probability of the text as it is."""

    @property
    def gap(self) -> float:
        """What the scores do not account for."""
        return self.reached - self.baseline - sum(self.scores)


def importance(
    embedding: "nn.Embedding",
    tokens: Sequence[int],
    fixed: Sequence[bool],
    answer: "Callable[[Tensor], Tensor]",
    points: int,
) -> Importance:
    """What an answer owes to each token, by `points` points of the path.

    `embedding` is the module that the model reads `tokens` by, `answer` gives log-probabilities [S] for tokens [S, T], and `fixed`
    says which tokens are the same in the baseline.
    """
    import torch

    device = embedding.weight.device
    tokens_T = torch.tensor(list(tokens), device=device)
    with torch.no_grad():
        text_TD = embedding(tokens_T)
        scale = text_TD.norm() / embedding.weight[tokens_T].norm().clamp(min=TINY)  # some models scale what they look up
        mean_D = scale * embedding.weight.mean(dim=0)
    kept_T1 = torch.tensor(list(fixed), device=device)[:, None]
    way_TD = torch.where(kept_T1, torch.zeros_like(text_TD), text_TD - mean_D)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    shares = torch.tensor((nodes + 1) / 2, dtype=text_TD.dtype, device=device)
    together = min(TOKENS_AT_ONCE, LOGITS_AT_ONCE // embedding.weight.shape[0])
    slope_TD, at_once = torch.zeros_like(text_TD), max(1, together // len(tokens))
    for some, weight in zip(torch.split(shares, at_once), _split(weights / 2, at_once), strict=True):
        path_STD = (text_TD - (1 - some)[:, None, None] * way_TD).requires_grad_()
        with _read_as(embedding, path_STD):
            (slopes_STD,) = torch.autograd.grad(answer(tokens_T.expand(len(some), -1)).sum(), path_STD)
        slope_TD += torch.einsum("s,std->td", torch.tensor(weight, dtype=slope_TD.dtype, device=device), slopes_STD)
    ends_STD = torch.stack((text_TD - way_TD, text_TD))
    with torch.no_grad(), _read_as(embedding, ends_STD):
        baseline, reached = answer(tokens_T.expand(2, -1)).tolist()
    return Importance(tuple((slope_TD * way_TD).sum(dim=1).tolist()), baseline, reached)


def _split(weights: Any, size: int) -> Iterator[Any]:
    return (weights[start : start + size] for start in range(0, len(weights), size))


@contextmanager
def _read_as(embedding: "nn.Embedding", vectors: "Tensor") -> Iterator[None]:
    """What the embedding gives when it is first asked is `vectors` instead; an encoder-decoder asks it again, for what it writes."""
    waiting = [vectors]
    handle = embedding.register_forward_hook(lambda module, given, found: waiting.pop() if waiting else found)  # noqa: ARG005
    try:
        yield
    finally:
        handle.remove()
