"""Compiled layers train the same model under every engine, and are compiled once for each shape of a batch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch._dynamo.utils import counters

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.models.base import Architecture
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.storage import open_store
from pipeline.train.checkpoint import MODEL
from pipeline.train.compiled import check_compiler, compile_layers
from pipeline.train.engine import Engine, Engines, Update
from pipeline.train.loop import Loop
from pipeline.train.plain import PlainEngines
from pipeline.train.recompute import recompute_layers
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.models.test_counting import CONTEXT, RECIPES, VOCABULARY, questions
from tests.train.tiny import Lone, pretrain

ENGINES: dict[str, Engines] = {"plain": PlainEngines()} | {f"zero-{stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}
KINDS = {"Llama": 1, "GPT-2": 1, "BERT": 1, "T5": 4}
SHAPES = 3
"""A batch that is trained on, one that is looked at, and the last, shorter one of a look."""
EXPORTED = {name for name, _ in Llama(dim=32, depth=2, heads=2).build(320, 32).named_parameters()}
FAMILIES = [pytest.param(name, marks=pytest.mark.slow) if name != "Llama" else name for name in KINDS]


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    counters.clear()
    yield
    torch.compiler.reset()


def losses(recipe: Architecture, engines: Engines, *changes: Callable[[Any], None]) -> tuple[list[float], Engine]:
    """Of twenty steps of two micro-batches, with looks at a batch and a part of one after ten and twenty."""
    torch.manual_seed(0)
    model = recipe.build(VOCABULARY, CONTEXT)
    for change in changes:
        change(model)
    engine, found = engines.start(model, Update(), 2, Lone()), []
    for step in range(20):
        for part in range(2):
            loss = engine.loss(*drawn(recipe, 4, 2 * step + part))
            engine.backward(loss)
            found.append(loss.item())
        engine.step(1e-2)
        if step % 10 == 9:
            with torch.no_grad():
                found += [engine.loss(*drawn(recipe, rows, 99)).item() for rows in (4, 4, 3)]
    return found, engine


def drawn(recipe: Architecture, rows: int, seed: int) -> tuple[Tensor, ...]:
    torch.manual_seed(seed)
    return questions(recipe, rows)


@pytest.mark.slow
@pytest.mark.parametrize("engines", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("others", [(), (recompute_layers,)], ids=["kept", "recomputed"])
def test_every_engine_has_the_losses_and_the_names_that_it_has_without(engines: Engines, others: tuple[Any, ...]) -> None:
    expected, plain = losses(RECIPES["Llama"], engines)
    found, compiled = losses(RECIPES["Llama"], engines, compile_layers, *others)
    assert found == pytest.approx(expected, rel=1e-4)
    assert compiled.weights().keys() == plain.weights().keys()
    assert dict(counters["graph_break"]) == {}
    assert counters["stats"]["unique_graphs"] == SHAPES


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_of_a_kind_share_a_program_for_each_shape(name: str) -> None:
    expected, _ = losses(RECIPES[name], PlainEngines())
    found, _ = losses(RECIPES[name], PlainEngines(), compile_layers)
    assert found == pytest.approx(expected, rel=1e-4)
    assert dict(counters["graph_break"]) == {}
    assert counters["stats"]["unique_graphs"] == KINDS[name] * SHAPES


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_a_run_goes_on_with_compiled_layers_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool, after: bool) -> None:
    undisturbed, goes_on = trained(tmp_path / "undisturbed", compile=after), tmp_path / "goes-on"
    step_of = Loop._step
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", lambda loop, done: step_of(loop, done) if done < 8 else ended(loop))
        with pytest.raises(InterruptedError):
            trained(goes_on, compile=before)
    steps: list[int] = []
    monkeypatch.setattr(Loop, "_step", lambda loop, done: steps.append(done) or step_of(loop, done))
    found = trained(goes_on, compile=after)
    assert steps == [6, 7, 8, 9, 10]
    assert [row["loss"] for row in found] == pytest.approx([row["loss"] for row in undisturbed], rel=1e-4)
    if before == after:
        assert [row["loss"] for row in found] == [row["loss"] for row in undisturbed]


def ended(loop: Loop) -> dict[str, Any]:
    loop.saves.finish()
    raise InterruptedError


def trained(root: Path, **fields: Any) -> list[dict[str, Any]]:
    """The metrics of a run of ten steps, whose model has the tensors that any has."""
    step = pretrain(10, micro_batch=2, **fields)
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    made = open_artifact(store, step)
    with safe_open(made.folder(MODEL) / "model.safetensors", "pt") as weights:
        assert set(weights.keys()) == EXPORTED
    return list(made.metrics())


def test_how_it_runs_is_no_part_of_what_is_trained() -> None:
    assert pretrain(compile=True).address == pretrain().address


@pytest.mark.parametrize("model", [Lstm(dim=16), Mixtral(dim=16, depth=1, heads=2)])
def test_a_model_whose_layers_cannot_be_compiled_refuses(model: Architecture) -> None:
    with pytest.raises(RequestError, match=r"compile is true, and a .* cannot be: its .* Leave it out"):
        pretrain(model=model, compile=True)


@pytest.mark.parametrize(("kind", "variable"), [("cpu", "CXX"), ("cuda", "CC")])
def test_without_a_compiler_the_remedy_is_told(kind: Any, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_compiler(kind)
    monkeypatch.setenv(variable, "no-such-compiler -O2")
    with pytest.raises(RequestError, match=f"no compiler 'no-such-compiler': install it .*, name another one in {variable}, or leave"):
        check_compiler(kind)


def test_without_the_headers_of_python_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(RequestError, match=r"Python.h is missing, .* apt-get install python3-dev"):
        check_compiler("cpu")
