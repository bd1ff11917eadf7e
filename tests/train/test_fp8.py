"""Products in fp8: what they are, which layers make them, and where they are refused. Without a device that has them, they are emulated."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.train import fp8, plain
from pipeline.train.engine import Update
from pipeline.train.fp8 import check_kind, compile_apart, in_fp8, multiply_in_fp8
from pipeline.train.plain import PlainEngines
from pipeline.train.recompute import recompute_layers
from pipeline.workflow.executor import Alone
from tests.models.fresh import CONTEXT, VOCABULARY, drawn, some_tokens

LLAMA = Llama(dim=32, depth=2, heads=2, key_value_heads=1, hidden=48)
library = pytest.mark.usefixtures("torchao")


@pytest.fixture(scope="module")
def torchao() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed: pip install -e '.[fp8]'")


def rounded(factor: Tensor, form: torch.dtype) -> Tensor:
    """A factor scaled as a whole to the range of a format, and back."""
    scale = torch.finfo(form).max / factor.abs().max()
    return (factor * scale).to(form).float() / scale


@library
def test_the_factors_of_all_three_products_are_rounded_to_fp8_and_nothing_else_is() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"layers": nn.ModuleList([nn.ModuleDict({"up": nn.Linear(32, 48)})])})
    (layer,) = in_fp8(model, emulate=True)
    assert isinstance(layer, nn.Linear)
    given, slope = torch.randn(64, 32, requires_grad=True), torch.randn(64, 48)
    out = layer(given)
    out.backward(slope)
    x, w, g = rounded(given, torch.float8_e4m3fn), rounded(layer.weight, torch.float8_e4m3fn), rounded(slope, torch.float8_e5m2)
    torch.testing.assert_close(out, x @ w.T + layer.bias, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(given.grad, g @ w, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.weight.grad, g.T @ x, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(layer.bias.grad, slope.sum(0))


@library
@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (LLAMA, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        (Mixtral(dim=32, depth=1, heads=2, experts=16), {"q_proj", "k_proj", "v_proj", "o_proj"}),
        (GPT2(dim=32, depth=1, heads=2), {"c_attn", "c_proj", "c_fc"}),
    ],
    ids=["Llama", "Mixtral", "GPT-2"],
)
def test_hidden_layers_are_in_fp8_and_neither_the_head_nor_a_router(recipe: Architecture, expected: set[str]) -> None:
    model = drawn(recipe)
    before = dict(model.named_parameters())
    found = in_fp8(model, emulate=True)
    named = {name.split(".")[-1] for name, module in model.named_modules() if module in found}
    assert named == expected
    after = dict(model.named_parameters())
    assert list(after) == list(before), "names and their order are those of checkpoints"
    assert all(after[name] is before[name] for name in before)


@library
def test_a_layer_with_a_side_that_is_no_multiple_of_16_stays_as_it_is() -> None:
    model = drawn(Llama(dim=32, depth=1, heads=2, hidden=40))
    in_fp8(model, emulate=True)
    assert type(model.model.layers[0].mlp.up_proj) is nn.Linear
    assert type(model.model.layers[0].self_attn.q_proj) is not nn.Linear


@library
@pytest.mark.parametrize("recipe", [Lstm(dim=32), Llama(dim=24, depth=1, heads=2, hidden=40)], ids=["no layers", "odd widths"])
def test_a_model_without_such_a_layer_is_refused(recipe: Architecture) -> None:
    with pytest.raises(RequestError, match=r"no hidden layer of this model is linear with sides that are multiples of 16: use bf16"):
        in_fp8(drawn(recipe), emulate=True)


def losses(engine: Any, steps: int, first: int = 0) -> list[float]:
    """Of windows that count up."""
    found = []
    for step in range(first, first + steps):
        windows = (some_tokens(8, 1, seed=step) + torch.arange(CONTEXT + 1)) % VOCABULARY
        loss = engine.loss(windows[:, :-1], windows[:, 1:])
        engine.backward(loss)
        found.append(loss.item())
        engine.step(1e-2)
    return found


def started(precision: Any, recompute: bool = False) -> Any:
    model = drawn(LLAMA)
    if recompute:
        recompute_layers(model)
    return PlainEngines().start(model, Update(precision=precision), 1, Alone(lambda metrics: None))


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "multiply_in_fp8", lambda model, device: in_fp8(model, emulate=True))


@library
@pytest.mark.usefixtures("emulated")
def test_a_model_learns_in_fp8_nearly_as_in_bf16() -> None:
    narrow, wide = losses(started("fp8"), 30), losses(started("bf16"), 30)
    assert narrow != wide
    assert narrow[-1] < 0.6 * narrow[0]
    assert narrow[-1] == pytest.approx(wide[-1], rel=0.1)


@library
@pytest.mark.usefixtures("emulated")
def test_recomputed_layers_learn_the_same_in_fp8() -> None:
    assert losses(started("fp8", recompute=True), 3) == losses(started("fp8"), 3)


@library
@pytest.mark.usefixtures("emulated")
def test_training_in_fp8_goes_on_bit_for_bit_from_what_it_saved(tmp_path: Path) -> None:
    whole, half, other = started("fp8"), started("fp8"), started("fp8")
    expected = losses(whole, 4)[2:]
    losses(half, 2)
    half.save(tmp_path)
    other.load(tmp_path)
    assert losses(other, 2, first=2) == expected
    assert all(weight.dtype == torch.float32 and math.isfinite(weight.sum()) for weight in other.weights().values())


@library
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own look at what it traces
def test_every_layer_stays_compiled_whatever_passes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 8)
    model, plain_model = drawn(LLAMA), drawn(LLAMA)
    in_fp8(plain_model, emulate=True)
    compile_apart(in_fp8(model, emulate=True), backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16):
        for rows in (4, 2):
            tokens = some_tokens(rows, CONTEXT)
            torch.testing.assert_close(model(tokens, tokens), plain_model(tokens, tokens))
            with torch.no_grad():
                model(tokens, tokens)
    assert counters["frames"]["ok"] == counters["frames"]["total"] > 8
    torch._dynamo.reset()


def test_a_cpu_and_zero_3_are_refused() -> None:
    with pytest.raises(RequestError, match=r"a cpu has no products in fp8: use bf16"):
        check_kind("cpu")
    with pytest.raises(RequestError, match=r"zero 3 .*use --compute.zero 2, or bf16"):
        DeepSpeedEngines(zero=3).check(Update(precision="fp8"))
    DeepSpeedEngines(zero=2).check(Update(precision="fp8"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is a CPU that is refused")
def test_an_engine_on_a_cpu_says_what_to_use_instead() -> None:
    with pytest.raises(RequestError, match=r"update\.precision is fp8, and a cpu has no products in fp8: use bf16"):
        started("fp8")


def test_a_device_of_an_earlier_capability_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    with pytest.raises(RequestError, match=r"NVIDIA A100 has compute capability 8\.0: use bf16, or a device of 8\.9 or more"):
        multiply_in_fp8(nn.Linear(16, 16), torch.device("cuda"))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"torchao is not installed: pip install -e '\.\[fp8\]', or use bf16"):
        check_kind("cuda")
