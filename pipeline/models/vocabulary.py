"""The projection onto the vocabulary and its cross-entropy, never holding the logits of a whole batch.

Logits are by far the largest tensor of a small model. The loss and its gradient are computed together, a chunk of
tokens at a time, so that a chunk's logits are dropped before the next ones are made and nothing is computed
twice (the method of Liger Kernel's fused linear cross-entropy; Hsu and others, 2024, arXiv:2410.10989).

N tokens, D width, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.shapes import ACCELERATOR_LOGITS, CHUNK_LOGITS


class VocabularyHead(nn.Linear):
    """A linear layer D → V without bias, whose forward is the mean cross-entropy with the targets.

    With a `z_weight` above 0, that times the mean of (log Z)² is in the gradient too, Z being the sum of the exponentials of a token's
    logits (Chowdhery and others, 2022, arXiv:2204.02311, section 5): logits stay near 0, where bf16 is finest. It is not in the
    value, which stays the cross-entropy; `z` is the mean of (log Z)² in the last pass.
    """

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__(width, vocab_size, bias=False)
        self.z_weight = 0.0
        self.z = torch.zeros(())

    def forward(self, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:  # type: ignore[override]
        """The mean cross-entropy in nats, in fp32 whatever the precision of the products."""
        if torch.is_autocast_enabled(hidden_ND.device.type):
            precision = torch.get_autocast_dtype(hidden_ND.device.type)
            hidden_ND = hidden_ND.to(precision)
        loss, z = _CrossEntropy.apply(hidden_ND, self.weight, targets_N, torch.is_grad_enabled(), self.z_weight)  # type: ignore[no-untyped-call]
        self.z = z
        return loss  # type: ignore[no-any-return]


class _CrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of hidden · weightᵀ, and the mean of (log Z)², with gradients made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, differentiate: bool, z_weight: float
    ) -> tuple[Tensor, Tensor]:
        weight = weight_VD.to(hidden_ND.dtype)
        held = CHUNK_LOGITS if hidden_ND.device.type == "cpu" else ACCELERATOR_LOGITS
        count, rows = hidden_ND.shape[0], max(1, held // weight.shape[0])
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        squares = torch.zeros_like(total)
        hidden_gradient = torch.empty_like(hidden_ND) if differentiate else None
        weight_gradient = torch.zeros_like(weight_VD, dtype=torch.float32) if differentiate else None
        for start in range(0, count, rows):
            hidden, targets = hidden_ND[start : start + rows], targets_N[start : start + rows, None]
            logits = functional.linear(hidden, weight).float()
            chosen, greatest = logits.gather(1, targets), logits.amax(dim=1, keepdim=True)
            odds = logits.sub_(greatest).exp_()
            whole = odds.sum(dim=1, keepdim=True)
            log_z = whole.log() + greatest
            total += (log_z - chosen).sum()
            squares += log_z.square().sum()
            if hidden_gradient is None or weight_gradient is None:
                continue
            slope = odds.div_(whole * count)  # softmax; minus one at the target
            if z_weight:
                slope.mul_(1 + 2 * z_weight * log_z)
            slope.scatter_add_(1, targets, torch.full_like(whole, -1 / count))
            slope = slope.to(hidden.dtype)
            torch.mm(slope, weight, out=hidden_gradient[start : start + rows])
            weight_gradient += slope.t() @ hidden
        if differentiate:
            ctx.save_for_backward(hidden_gradient, weight_gradient)
            ctx.weight_precision = weight_VD.dtype
        z = squares / count
        ctx.mark_non_differentiable(z)
        return total / count, z

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * scale.to(hidden_gradient.dtype), (weight_gradient * scale).to(ctx.weight_precision), None, None, None
