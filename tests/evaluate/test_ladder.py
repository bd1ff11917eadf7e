"""A ladder of real runs, as small as can be, and the step that fits a law to them."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.ladder import FitLadder, Ladder, Rung
from pipeline.evaluate.perplexity import Perplexity
from pipeline.models.llama import Llama
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.train.tiny import pretrain, tokens


def rung(dim: int, steps: int, seed: int = 0) -> Rung:
    trained = pretrain(steps=steps, model=Llama(dim=dim, depth=1, heads=2), seed=seed)
    return Rung(checkpoint=trained, evaluation=Evaluate(checkpoint=trained, tokens=tokens(), tasks=(Perplexity(),)))


RUNGS = tuple(rung(dim, steps) for dim in (8, 16, 32) for steps in (5, 10, 20))


@pytest.mark.slow
def test_a_ladder_is_fitted_once_and_another_rung_trains_that_rung_alone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    step = FitLadder(rungs=RUNGS)
    first = run([step], store, InlineExecutor())
    assert run([step], store, InlineExecutor()).built == ()
    ladder = Ladder(store, first.manifests[step.address])
    foretold = ladder.foretell(100_000, 10_000)
    assert 0 < foretold.low <= foretold.loss <= foretold.high
    assert ladder.foretell(100_000, 10_000) == foretold
    for point, each in zip(ladder.facts["points"], RUNGS, strict=True):
        assert point["loss"] == first.manifests[each.evaluation.address].facts["scores"]["perplexity"]["loss"]
        assert point["low"] <= point["loss"] <= point["high"]
    more = FitLadder(rungs=(*RUNGS, rung(16, 10, seed=1)))
    kinds = [address.split("/")[0] for address in run([more], store, InlineExecutor()).built]
    assert kinds == ["pretrain", "evaluate", "fit-ladder"]


def test_a_ladder_without_enough_sizes_budgets_or_runs_is_refused_with_the_remedy() -> None:
    with pytest.raises(RequestError, match=r"2 sizes.*more --sizes"):
        FitLadder(rungs=RUNGS[:6])
    with pytest.raises(RequestError, match=r"2 token budgets.*more --budgets"):
        FitLadder(rungs=tuple(each for each in RUNGS if each.checkpoint.steps > 5))
    with pytest.raises(RequestError, match=r"5 runs.*takes 7"):
        FitLadder(rungs=(*RUNGS[:3], RUNGS[4], RUNGS[8]))


def test_how_a_rung_is_run_does_not_change_the_address_of_the_fit() -> None:
    others = tuple(
        Rung(
            checkpoint=(trained := dataclasses.replace(each.checkpoint, micro_batch=1)),
            evaluation=dataclasses.replace(each.evaluation, checkpoint=trained),
        )
        for each in RUNGS
    )
    assert FitLadder(rungs=others).address == FitLadder(rungs=RUNGS).address
