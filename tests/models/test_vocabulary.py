"""The chunked projection onto the vocabulary equals the plain one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pipeline.models import vocabulary
from pipeline.models.vocabulary import VocabularyHead


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 40),
    size=st.integers(2, 50),
    held=st.integers(1, 500),
    scale=st.floats(0.1, 30),
    z_weight=st.just(0.0) | st.floats(1e-5, 1),
)
def test_any_division_into_chunks_gives_the_loss_and_gradients_of_the_whole(
    rows: int, size: int, held: int, scale: float, z_weight: float
) -> None:
    torch.manual_seed(rows * size)
    head = VocabularyHead(8, size).double()
    head.z_weight = z_weight
    hidden, targets = (scale * torch.randn(rows, 8).double()).requires_grad_(), torch.randint(size, (rows,))
    logits = functional.linear(hidden, head.weight)
    expected, z = functional.cross_entropy(logits, targets), logits.logsumexp(dim=1).square().mean()
    wanted = torch.autograd.grad(3 * (expected + z_weight * z), (hidden, head.weight))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "CHUNK_LOGITS", held)
        loss = head(hidden, targets)
        found = torch.autograd.grad(3 * loss, (hidden, head.weight))
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(head.z.double(), z, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        rounding = 1e-6 * max(1.0, scale) ** 2  # of fp32 logits, which grow with the scale, times hidden states, which do too
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=rounding)


def test_the_loss_is_in_fp32_where_the_products_are_in_bf16() -> None:
    head, hidden, targets = VocabularyHead(8, 50), torch.randn(16, 8, requires_grad=True), torch.randint(50, (16,))
    plain = head(hidden, targets)
    with torch.autocast("cpu", torch.bfloat16):
        loss = head(hidden, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert head.weight.grad is not None
    assert head.weight.grad.dtype == torch.float32
    torch.testing.assert_close(loss, plain, atol=0.02, rtol=0)


def test_without_gradients_none_are_made() -> None:
    head = VocabularyHead(8, 50)
    with torch.no_grad():
        loss = head(torch.randn(16, 8), torch.randint(50, (16,)))
    assert not loss.requires_grad


@pytest.mark.parametrize(("device", "chunks"), [("cpu", 8), ("meta", 1)])
def test_an_accelerator_holds_more_logits_at_once_than_a_cpu(device: str, chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    products, multiply = [], torch.mm
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)  # which a tensor without numbers cannot be asked
    monkeypatch.setattr(torch, "mm", lambda *factors, out: products.append(factors) or multiply(*factors, out=out))
    head, hidden = VocabularyHead(1, 1 << 15).to(device), torch.zeros(256, 1, device=device)
    head(hidden, torch.zeros(256, dtype=torch.long, device=device))
    assert len(products) == chunks
