"""Neighbours that share windows train as one worker does, under every engine; and runs go on with more or fewer of them."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.storage import open_store
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.contracts.test_architectures import ARCHITECTURES
from tests.infra import layouts
from tests.infra.slices import ACTS, CASES, recipe, train
from tests.infra.test_layouts import assert_same, metrics
from tests.train.processes import run_members
from tests.train.tiny import Lone, pretrain, tokens

SLICED = [(case, name) for case, each in CASES.items() for name in each.engines]


def gang(act: str, size: int, slices: int, folder: Path) -> None:
    """Let a gang do the same in the roots of all engines."""
    if size == 1:
        ACTS[act](folder, 1, Lone())
        return
    run_members(size, "tests.infra.slices", lambda rank: [act, str(rank), str(size), str(slices), str(folder)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with token shards."""
    folder = tmp_path_factory.mktemp("slices")
    run([tokens()], open_store(str(folder / "tokens")), InlineExecutor())
    return folder


def roots(made: Path, name: str) -> Path:
    for engine in layouts.ENGINES:
        copytree(made / "tokens", made / name / engine)
    return made / name


@pytest.fixture(scope="module")
def alone(made: Path) -> Path:
    """A root in which one worker trained every case."""
    root = Path(copytree(made / "tokens", made / "alone"))
    for case in CASES.values():
        train(root, case, PlainEngines(), Lone())
    return root


@pytest.fixture(scope="module")
def by_two(made: Path) -> Path:
    """The roots of all engines, in which two workers that shared each window trained every case."""
    gang("train", 2, 2, folder := roots(made, "by-two"))
    return folder


def assert_trained_alike(case: str, root: Path, alone: Path) -> None:
    """The same batches, losses and weights, within rounding."""
    address, rough = recipe(CASES[case], PlainEngines(), 1).address, case == "bf16"
    found, expected = (rows_of(place, address) for place in (root, alone))
    assert [row["chain"] for row in found] == [row["chain"] for row in expected]
    for name in ("loss", "gradient_norm", *(["z_loss"] if "z_loss" in expected[0] else ())):
        assert [row[name] for row in found] == pytest.approx([row[name] for row in expected], rel=5e-3 if rough else 1e-5)
    assert found[-1]["validation_loss"] == pytest.approx(expected[-1]["validation_loss"], rel=5e-3 if rough else 1e-5)
    if not rough:
        torch.testing.assert_close(weights(root, address), weights(alone, address), atol=1e-4, rtol=1e-3)


def rows_of(root: Path, address: str) -> list[dict[str, Any]]:
    (place,) = (root / address / "metrics").iterdir()
    return [json.loads(line) for line in place.read_text().splitlines()]


def weights(root: Path, address: str) -> dict[str, Any]:
    (place,) = (root / address).rglob("model*.safetensors")
    return load_file(place)


def test_every_architecture_whose_windows_can_be_cut_is_tried_here() -> None:
    tried = {type(case.fields.get("model", pretrain().model)) for case in CASES.values()}
    assert tried == {kind for kind in ARCHITECTURES if kind.whole_windows is None}


@pytest.mark.parametrize(("case", "name"), SLICED)
def test_two_workers_that_share_each_window_train_as_one_does(by_two: Path, alone: Path, case: str, name: str) -> None:
    assert_trained_alike(case, by_two / name, alone)


@pytest.fixture(scope="module")
def undisturbed(made: Path) -> list[dict[str, Any]]:
    layouts.train(root := Path(copytree(made / "tokens", made / "undisturbed")), PlainEngines(), Lone())
    return metrics(root)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [((2, 2), (1, 1)), ((1, 1), (2, 2)), ((2, 1), (2, 2)), ((2, 2), (2, 1))])
def test_a_run_goes_on_in_other_slices_under_every_engine(
    made: Path, undisturbed: list[dict[str, Any]], before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Each is a number of workers, and how many of them share a window."""
    folder = roots(made, f"from-{before}-to-{after}")
    gang("begin", *before, folder)
    gang("go-on", *after, folder)
    for name in layouts.ENGINES:
        assert_same(metrics(folder / name), undisturbed)


@pytest.mark.slow
def test_two_groups_of_two_workers_train_as_one_worker_does(made: Path, alone: Path) -> None:
    gang("train", 4, 2, folder := roots(made, "by-two-groups"))
    for case, name in SLICED:
        assert_trained_alike(case, folder / name, alone)
