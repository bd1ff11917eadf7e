"""The benchmark of a GPU, driven where there is none."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import LARGE, PLAIN, SMALL, TOOLS, measured, recipe, that_fits, whole_loss

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "benchmarks/results/gpu.json"


def test_the_model_has_a_billion_parameters_and_its_windows_2048_tokens() -> None:
    assert 1.0e9 < LARGE.model.parameter_count(LARGE.vocabulary, LARGE.context) < 1.2e9
    assert LARGE.context == 2048
    assert LARGE.tokens_in_step % LARGE.context == 0


def test_the_plain_loop_trains_the_same_model_by_the_same_loss() -> None:
    torch.manual_seed(0)
    model: Any = SMALL.model.build(SMALL.vocabulary, SMALL.context)
    tokens, targets = torch.randint(SMALL.vocabulary, (2, 2, SMALL.context))
    losses = [model(tokens, targets), whole_loss(model)(tokens, targets)]
    ours, theirs = (torch.autograd.grad(loss, list(model.parameters())) for loss in losses)
    torch.testing.assert_close(*losses)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_half_as_many_windows_are_taken_until_they_fit() -> None:
    tried = list[int]()
    found = that_fits(lambda windows: tried.append(windows) or {"fits": windows <= 3, "windows": windows}, 12)  # type: ignore[func-returns-value]
    assert tried == [12, 6, 3]
    assert found == {"windows": 3}
    with pytest.raises(RuntimeError, match="not even one window fits"):
        that_fits(lambda windows: {"fits": False}, 4)


def test_a_device_without_room_is_told_apart_from_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*about: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "plain", full)
    assert measured(PLAIN, recipe(SMALL, 2), SMALL, "unused") == {"fits": False}


def test_the_plain_loop_is_measured_with_as_many_windows_as_were_asked_for(tmp_path: Path) -> None:
    row = measured(PLAIN, recipe(SMALL, 3), SMALL, str(tmp_path))
    assert row["micro_batch"] == 2, "the greatest number that shares a batch of eight"
    assert row["tokens_per_second"] > 0


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU it is a benchmark, which takes minutes")
def test_without_a_gpu_all_tools_run_small_and_nothing_is_written() -> None:
    before = RESULTS.exists() and RESULTS.read_bytes()
    command = [sys.executable, "-m", "benchmarks.gpu", "--tokens-in-step", "128", "--steps", "1"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True).stdout
    assert [tool for tool in TOOLS if tool not in told] == []
    assert "There is no GPU here" in told
    assert (RESULTS.exists() and RESULTS.read_bytes()) == before
