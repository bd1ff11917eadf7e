"""A run that a gang of one size began goes on with a gang of another, under every engine; and from one engine to another."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from pipeline.storage import open_store
from pipeline.train.plain import PlainEngines
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.infra.layouts import ENGINES, begin, go_on, recipe, train
from tests.train.processes import run_members
from tests.train.tiny import Lone, tokens

pytestmark = pytest.mark.slow
CHANGES = [(before, after) for before in (1, 2, 3) for after in (1, 2, 3) if before != after and 1 in (before, after)]


def gang(act: str, size: int, folder: Path) -> None:
    """Let a gang do the same in the roots of all engines."""
    if size == 1:
        for name, engines in ENGINES.items():
            {"begin": begin, "go-on": go_on}[act](folder / name, engines, Lone())
        return
    run_members(size, "tests.infra.layouts", lambda rank: [act, str(rank), str(size), str(folder)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with token shards."""
    folder = tmp_path_factory.mktemp("layouts")
    run([tokens()], open_store(str(folder / "tokens")), InlineExecutor())
    return folder


@pytest.fixture(scope="module")
def begun(made: Path) -> dict[int, Path]:
    """The roots of all engines, by the size of the gang that began the runs in them."""
    folders = {size: made / f"begun-by-{size}" for size in (1, 2, 3)}
    for size, folder in folders.items():
        for name in ENGINES:
            copytree(made / "tokens", folder / name)
        gang("begin", size, folder)
    return folders


@pytest.fixture(scope="module")
def undisturbed(made: Path) -> list[dict[str, Any]]:
    train(root := Path(copytree(made / "tokens", made / "undisturbed")), PlainEngines(), Lone())
    return metrics(root)


def metrics(root: Path) -> list[dict[str, Any]]:
    (place,) = (root / recipe(PlainEngines(), 1).address / "metrics").iterdir()
    return [json.loads(line) for line in place.read_text().splitlines()]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same batches, and losses as near as another order of addition lets them be."""
    assert [(row["step"], row["chain"]) for row in found] == [(row["step"], row["chain"]) for row in expected]
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in found] == pytest.approx([row[name] for row in expected], abs=1e-4)
    assert found[-1]["validation_loss"] == pytest.approx(expected[-1]["validation_loss"], abs=1e-4)


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_run_goes_on_with_another_number_of_workers_under_every_engine(
    begun: dict[int, Path], undisturbed: list[dict[str, Any]], tmp_path: Path, before: int, after: int
) -> None:
    folder = Path(copytree(begun[before], tmp_path / "roots"))
    gang("go-on", after, folder)
    for name in ENGINES:
        assert_same(metrics(folder / name), undisturbed)


@pytest.mark.parametrize(
    ("left", "opened"),
    [
        ("plain", "zero-3"),
        ("zero-1", "plain"),
        ("zero-2", "zero-0"),
        ("zero-3", "zero-2"),
        ("zero-3-cpu", "plain"),
        ("zero-2-cpu", "zero-2"),
        ("zero-1", "zero-3-cpu"),
    ],
)
def test_a_run_goes_on_under_another_engine(
    begun: dict[int, Path], undisturbed: list[dict[str, Any]], tmp_path: Path, left: str, opened: str
) -> None:
    root = Path(copytree(begun[2] / left, tmp_path / "root"))
    go_on(root, ENGINES[opened], Lone())
    assert_same(metrics(root), undisturbed)
