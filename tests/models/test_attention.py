"""Attention kept inside documents in both its forms: a mask over pairs of tokens, and bounds for FlashAttention.

FlashAttention needs an accelerator. Elsewhere a reference, which computes each document by itself, stands in its place, so that all but
the kernel is what runs there; that the kernel takes what it is given, and its gradients, is asked of its own account of shapes.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import varlen

from pipeline.models import attention
from pipeline.models.attention import Bounds, attend, bounds_of, inside_documents
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.mixtral import Mixtral
from pipeline.train.recompute import recompute_layers
from tests.models.fresh import DOCUMENTS, LENGTHS, POSITIONS, drawn, some_tokens

DECODERS = {
    "Llama": Llama(dim=48, depth=2, heads=6, key_value_heads=2, qk_norm=True),
    "Mixtral": Mixtral(dim=32, depth=2, heads=4),
    "GPT-2": GPT2(dim=32, depth=2, heads=4),
}
each_decoder = pytest.mark.parametrize("recipe", DECODERS.values(), ids=DECODERS)


def document_by_document(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest_q: int, longest_k: int, **settings: Any
) -> Tensor:
    """What varlen_attn computes."""
    assert settings == {"window_size": (-1, 0), "enable_gqa": True}, "causal, with key-value heads shared"
    assert starts_q.dtype == torch.int32
    assert torch.equal(starts_q, starts_k)
    assert starts_q.diff().max() <= longest_q == longest_k
    parts = (
        functional.scaled_dot_product_attention(*(x[start:end].transpose(0, 1)[None] for x in (q, k, v)), is_causal=True, enable_gqa=True)
        for start, end in zip(starts_q[:-1].tolist(), starts_q[1:].tolist(), strict=True)
    )
    return torch.cat([part[0].transpose(0, 1) for part in parts])


@pytest.fixture(scope="module", autouse=True)
def reference() -> Any:
    """The kernel's stand-in, for tensors on the CPU."""
    kernel = varlen.varlen_attn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(varlen, "varlen_attn", lambda q, *rest, **more: (document_by_document if q.is_cpu else kernel)(q, *rest, **more))
        yield


@st.composite
def layouts(draw: Any) -> Tensor:
    """Documents [B, T] in windows of one length, numbered from 0 in each."""
    count, length = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    begins = draw(st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=count, max_size=count))
    begun = torch.tensor(begins).cumsum(1)
    return (begun - begun[:, :1]).int()


def mixed(form: Callable[[Tensor], Any], documents: Tensor, heads: int, groups: int) -> list[Tensor]:
    """The values of queries drawn at random, and the gradients of all that they are made of."""
    source, (rows, length) = torch.Generator().manual_seed(0), documents.shape
    parts = [torch.randn(rows, length, n, 8, generator=source, dtype=torch.float64, requires_grad=True) for n in (heads, groups, groups)]
    values = attend(*(part.transpose(1, 2) for part in parts), form(documents))
    values.backward(torch.randn(values.shape, generator=source, dtype=torch.float64))
    return [values.detach(), *(part.grad for part in parts if part.grad is not None)]


@given(documents=layouts(), heads_and_groups=st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]))
def test_bounds_and_mask_mix_the_same_values_and_give_the_same_gradients(documents: Tensor, heads_and_groups: tuple[int, int]) -> None:
    by_bounds = mixed(bounds_of, documents, *heads_and_groups)
    by_mask = mixed(lambda documents: inside_documents(documents, torch.zeros(1), 8), documents, *heads_and_groups)
    assert len(by_bounds) == len(by_mask) == 4
    for one, other in zip(by_bounds, by_mask, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@given(documents=layouts())
def test_bounds_cut_all_windows_into_their_documents(documents: Tensor) -> None:
    starts, longest = bounds_of(documents)
    lengths = [run for row in documents.tolist() for run in (row.count(number) for number in sorted(set(row)))]
    assert starts.diff().tolist() == lengths
    assert starts[0] == 0
    assert longest == documents.shape[1]


def passed(recipe: Architecture, recompute: bool = False, device: str = "cpu") -> list[Tensor]:
    """The loss of two windows, and the gradients of all weights."""
    model, tokens = drawn(recipe).to(device), some_tokens(2, sum(LENGTHS))
    if recompute:
        recompute_layers(model)
    inputs = (tokens, tokens.roll(-1, 1), DOCUMENTS.expand(2, -1), POSITIONS.expand(2, -1))
    loss = model(*(each.to(device) for each in inputs))
    loss.backward()
    return [loss.detach(), *(weight.grad for weight in model.parameters())]


@each_decoder
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_a_decoder_learns_the_same_by_bounds_as_by_a_mask(recipe: Architecture, recompute: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    by_mask, asked = passed(recipe), []
    monkeypatch.setattr(attention, "_flash_takes", lambda *about: asked.append(about) is None)
    for one, other in zip(passed(recipe, recompute), by_mask, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert asked == [(torch.device("cpu"), torch.float32, 8)], "the form is chosen once a pass"


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2)])
def test_the_kernel_takes_what_it_is_given_and_gives_gradients(heads: int, groups: int) -> None:
    parts = [torch.zeros(2, 24, n, 16, dtype=torch.bfloat16, device="meta", requires_grad=True) for n in (heads, groups, groups)]
    bounds = Bounds(torch.zeros(7, dtype=torch.int32, device="meta"), 24)
    values = attend(*(part.transpose(1, 2) for part in parts), bounds)
    assert values.shape == (2, heads, 24, 16)
    values.sum().backward()
    assert [part.grad.shape for part in parts if part.grad is not None] == [part.shape for part in parts]


@pytest.mark.parametrize(
    ("device", "precision", "width", "capability", "takes"),
    [
        ("cuda", torch.bfloat16, 128, (9, 0), True),
        ("cuda", torch.float16, 64, (8, 0), True),
        ("cuda", torch.float32, 128, (9, 0), False),
        ("cuda", torch.bfloat16, 12, (9, 0), False),
        ("cuda", torch.bfloat16, 256, (9, 0), False),
        ("cuda", torch.bfloat16, 128, (7, 5), False),
        ("cpu", torch.bfloat16, 128, (9, 0), False),
    ],
)
def test_flash_attention_is_used_where_it_runs(
    device: str, precision: torch.dtype, width: int, capability: tuple[int, int], takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert attention._flash_takes(torch.device(device), precision, width) is takes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlashAttention runs on an accelerator, and there is none here")
@pytest.mark.parametrize("name", ["Llama", "GPT-2"])  # a router may choose otherwise where numbers differ by rounding
def test_on_an_accelerator_a_decoder_learns_the_same_by_bounds_as_by_a_mask(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cuda", torch.bfloat16):
        by_bounds = passed(DECODERS[name], device="cuda")
        monkeypatch.setattr(attention, "_flash_takes", lambda *about: False)
        by_mask = passed(DECODERS[name], device="cuda")
    assert by_bounds[0].item() == pytest.approx(by_mask[0].item(), rel=2e-3)
    for one, other in zip(by_bounds[1:], by_mask[1:], strict=True):
        assert functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99
