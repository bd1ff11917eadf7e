"""Two members train as one does, and go on together from checkpoints that they wrote together."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from torch.multiprocessing.spawn import spawn

from pipeline.storage import Store, open_store
from pipeline.train.plain import PlainEngine
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import Unit
from tests.train.meeting import meeting
from tests.train.tiny import Lone, pretrain, weights_of

STEPS = 12


class PulledPlug(Exception):
    """What ends a run in the middle, in every member at once."""


def _member(rank: int, undisturbed: str, disturbed: str, place: str) -> None:
    """One of two members: trains in one root without a break, and in the other with one."""
    with meeting(Path(place), rank, 2):
        _train(undisturbed, rank)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PlainEngine, "step", _failing(at=8))
            with pytest.raises(PulledPlug):
                _train(disturbed, rank)
        _train(disturbed, rank)


def _train(root: str, rank: int) -> None:
    recipe = pretrain(steps=STEPS, workers=2, micro_batch=1)
    recipe.train(Unit(open_store(root), recipe.address, "train", 0), Lone(rank, 2))


def _failing(at: int) -> Any:
    plain, taken = PlainEngine.step, []

    def step(engine: PlainEngine, learning_rate: float) -> float:
        taken.append(1)
        if len(taken) == at:
            raise PulledPlug
        return plain(engine, learning_rate)

    return step


def _finished(root: Path) -> tuple[bytes, list[dict[str, Any]]]:
    folder = root / pretrain(STEPS).address
    (metrics,) = (folder / "metrics").iterdir()
    (model,) = (folder / "model").iterdir()
    return weights_of(model), [json.loads(line) for line in metrics.read_text().splitlines()]


@pytest.mark.slow
def test_two_members_train_as_one_does_and_resume_bit_for_bit(tmp_path: Path, store: Store) -> None:
    run([pretrain(STEPS).mixture[0].tokens], store, InlineExecutor())
    roots = [Path(copytree(store.url, tmp_path / name)) for name in ("undisturbed", "disturbed")]
    spawn(_member, (str(roots[0]), str(roots[1]), str(tmp_path / "meeting")), nprocs=2)
    run([pretrain(STEPS)], store, InlineExecutor())

    alone, together, resumed = _finished(Path(store.url)), _finished(roots[0]), _finished(roots[1])
    assert resumed[0] == together[0]
    assert [(row["step"], row["loss"]) for row in resumed[1]] == [(row["step"], row["loss"]) for row in together[1]]
    assert [row["loss"] for row in together[1]] == pytest.approx([row["loss"] for row in alone[1]], abs=1e-4)
    assert together[1][-1]["validation_loss"] == pytest.approx(alone[1][-1]["validation_loss"], abs=1e-3)
