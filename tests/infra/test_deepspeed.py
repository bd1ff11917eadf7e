"""DeepSpeed's stages against plain PyTorch, in one process; `test_train_gang.py` has two."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.train.engine import Update
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import Alone
from tests.infra.nets import ACCUMULATION, STEPS, batch, farthest, net, resumed, started, train

PROJECT = Path(__file__).parents[2]
UPDATES = {"fp32": Update(clip=0.5), "bf16": Update(clip=0.5, precision="bf16"), "no clipping": Update(clip=0.0)}


def silent(metrics: Mapping[str, Any]) -> None:
    return


ME = Alone(silent)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("zero", STAGES)
@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES.keys())
def test_every_stage_gives_the_losses_norms_and_weights_of_plain_pytorch(zero: Any, update: Update) -> None:
    plain, sharded = started(PlainEngines(), update, ME), started(DeepSpeedEngines(zero=zero), update, ME)
    expected, found = train(plain, ME), train(sharded, ME)
    near = 1e-6 if update.precision == "fp32" else 1e-3  # where a sum differs in its last bit, bf16 may round it the other way
    assert torch.tensor(found).sub(torch.tensor(expected)).abs().max() < near
    assert farthest(sharded.weights(), plain.weights()) < near
    assert expected[-1][0] < expected[0][0] - 1.0
    assert all(weight.dtype is torch.float32 and weight.device.type == "cpu" for weight in sharded.weights().values())


@pytest.mark.parametrize("zero", STAGES)
def test_a_loaded_engine_goes_on_bit_for_bit(zero: Any, tmp_path: Path) -> None:
    update, engines = UPDATES["fp32"], DeepSpeedEngines(zero=zero)
    undisturbed = started(engines, update, ME)
    train(undisturbed, ME, steps=STEPS // 2)
    undisturbed.save(tmp_path)
    after = train(undisturbed, ME, first=STEPS // 2)
    again = resumed(engines, update, ME, tmp_path)
    assert train(again, ME, first=STEPS // 2) == after
    assert farthest(again.weights(), undisturbed.weights()) == 0.0


@pytest.mark.parametrize("zero", STAGES)
def test_a_gradient_that_is_no_number_is_told_by_its_norm(zero: Any) -> None:
    engine = started(DeepSpeedEngines(zero=zero), UPDATES["fp32"], ME)
    for micro in range(ACCUMULATION):
        engine.backward(engine.loss(*(part.to(engine.device) for part in batch(0, micro, ME))) * float("nan"))
    assert not torch.tensor(engine.step(1e-2)).isfinite()


def test_a_stage_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RequestError, match="zero is 4: use 0, 1, 2 or 3"):
        DeepSpeedEngines(zero=4)  # type: ignore[arg-type]


def test_engines_travel_to_workers() -> None:
    assert pickle.loads(pickle.dumps(DeepSpeedEngines(zero=3))) == DeepSpeedEngines(zero=3)


@pytest.mark.slow
def test_nothing_is_printed_and_nothing_is_compiled(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.infra.test_deepspeed import *\n"
        "engine = started(DeepSpeedEngines(zero=2), UPDATES['fp32'], ME)\n"
        "train(engine, ME, steps=2); Path(sys.argv[1]).mkdir(); engine.save(Path(sys.argv[1]))"
    )
    environment = os.environ | {"TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")}
    command = [sys.executable, "-c", script, str(tmp_path / "saved")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not (tmp_path / "extensions").exists()


def test_a_recipe_with_the_engines_is_read_without_torch() -> None:
    script = "import sys, infra.deepspeed_engine as module; module.DeepSpeedEngines(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


def test_the_parameters_of_a_net_are_named_as_plain_pytorch_names_them() -> None:
    engine = started(DeepSpeedEngines(zero=3), UPDATES["bf16"], ME)
    assert engine.weights().keys() == {name for name, _ in net().named_parameters()}
