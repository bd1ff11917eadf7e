"""What is told of a training before it starts: memory by part, and a pace only where a run on record knows it."""

from dataclasses import asdict
from typing import Any

import pytest

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.models.bert import Bert
from pipeline.models.llama import Llama
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.train.engine import Engines, Update
from pipeline.train.estimate import Machine, Memory, estimate, memory_of
from pipeline.train.plain import PlainEngines
from pipeline.workflow.artifact import Manifest
from tests.train.tiny import pretrain

VOCABULARY = 320
CPU = Machine(kind="cpu", name="cpu", memory=16 << 30, free=8 << 30)
CARD = Machine(kind="cuda", name="NVIDIA H100 80GB HBM3", memory=80 << 30, free=80 << 30)
MODEL = Llama(dim=64, depth=4, heads=2)


def memory(engines: Engines, workers: int = 4, **fields: Any) -> Memory:
    return memory_of(pretrain(model=MODEL, engines=engines, workers=workers, **fields), VOCABULARY)


def recorded(model: str = "Llama", device: str = "cpu", workers: int = 1, cost: int = 10**6, pace: float = 1000.0) -> Manifest:
    """The manifest of an earlier run, as far as a pace is read from it."""
    recipe = {"model": {"class": model}, "update": {"precision": "fp32"}}
    facts = {"tokens_per_second": pace, "flops_per_token": cost, "workers": workers, "peak": {"device": device}}
    return Manifest("pretrain", f"{model}-{device}-{workers}-{cost}".lower(), recipe, {}, (), facts)


def test_each_stage_of_zero_takes_a_part_off_what_a_worker_holds() -> None:
    zero = [memory(DeepSpeedEngines(zero=stage)) for stage in (0, 1, 2, 3)]
    parameters = MODEL.parameter_count(VOCABULARY, 32)
    assert zero[0].optimizer == 2 * 4 * parameters
    assert [each.optimizer * 4 == pytest.approx(zero[0].optimizer, abs=64) for each in zero] == [False, True, True, True]
    assert [each.gradients * 4 == pytest.approx(zero[0].gradients, abs=64) for each in zero] == [False, False, True, True]
    assert zero[3].weights < zero[0].weights < zero[1].weights == zero[2].weights
    assert zero[3].states < zero[2].states < zero[1].states < zero[0].states


@pytest.mark.parametrize("zero", [1, 2, 3])
def test_offload_takes_states_off_the_device_and_says_what_it_puts_into_the_memory_of_the_machine(zero: Any) -> None:
    kept, offloaded = (memory(DeepSpeedEngines(zero=zero, offload=place)) for place in ("none", "cpu"))
    assert kept.host == offloaded.optimizer == 0
    assert offloaded.states <= kept.states - kept.optimizer
    assert offloaded.states + offloaded.host >= kept.states


@pytest.mark.parametrize("engines", [DeepSpeedEngines(zero=stage) for stage in (1, 2, 3)])
def test_a_larger_gang_holds_less_in_each_worker(engines: Engines) -> None:
    assert memory(engines, workers=4).states < memory(engines, workers=2).states < memory(engines, workers=1).states


def test_only_what_passes_through_grows_with_the_micro_batch() -> None:
    one, four = (asdict(memory(PlainEngines(), workers=1, micro_batch=rows)) for rows in (1, 4))
    assert {name for name, value in four.items() if value != one[name]} == {"activations"}
    assert four["activations"] == pytest.approx(4 * one["activations"], abs=4)


def test_what_passes_through_in_bf16_is_smaller_and_the_weights_have_a_copy() -> None:
    wide, narrow = memory(PlainEngines()), memory(PlainEngines(), update=Update(precision="bf16"))
    assert narrow.activations < wide.activations
    assert narrow.weights == wide.weights * 3 / 2


def test_the_tokens_that_an_objective_adds_have_weights_too() -> None:
    step = pretrain(model=(model := Bert(dim=32, depth=1, heads=2)), objective=MaskedTokens())
    assert estimate(step, VOCABULARY, None, ()).parameters == model.parameter_count(VOCABULARY + 2, step.context)


def test_nothing_is_said_of_the_pace_before_the_first_run() -> None:
    found = estimate(pretrain(), VOCABULARY, CPU, ())
    assert (found.pace, found.seconds) == (None, None)
    assert found.tokens == 20 * 4 * 32


def test_the_pace_is_that_of_the_run_whose_tokens_cost_most_nearly_the_same() -> None:
    step = pretrain()
    cost = step.model.flops_per_token(VOCABULARY, step.context)
    near, far = recorded(cost=2 * cost, pace=100.0), recorded(cost=3 * cost, pace=900.0)
    found = estimate(step, VOCABULARY, CPU, (far, near))
    assert found.pace is not None
    assert found.pace.run == near.address
    assert found.pace.tokens_per_second == pytest.approx(200.0), "a token costs half as much"
    assert found.seconds == pytest.approx(found.tokens / 200.0)


@pytest.mark.parametrize("other", [{"model": "GPT2"}, {"device": CARD.name}, {"cost": 10**12}])
def test_a_run_of_another_kind_on_another_device_or_of_far_other_cost_tells_nothing(other: dict[str, Any]) -> None:
    step = pretrain()
    alike: dict[str, Any] = {"cost": step.model.flops_per_token(VOCABULARY, step.context)}
    assert estimate(step, VOCABULARY, CPU, (recorded(**alike),)).pace is not None
    assert estimate(step, VOCABULARY, CPU, (recorded(**alike | other),)).pace is None
    assert estimate(step, VOCABULARY, None, (recorded(**alike),)).pace is None


def test_workers_add_up_on_accelerators_and_share_the_processors_of_one_machine() -> None:
    step = pretrain(workers=4)
    cost = step.model.flops_per_token(VOCABULARY, step.context)
    for machine, pace in ((CPU, 1000.0), (CARD, 2000.0)):
        found = estimate(step, VOCABULARY, machine, (recorded(device=machine.name, workers=2, cost=cost),))
        assert found.pace is not None
        assert found.pace.tokens_per_second == pytest.approx(pace)
