"""A run that is pointed at a later state of its corpus: it goes on, and ends as if it had been asked for that from the start."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.batches.mixture import Weighted
from pipeline.batches.phases import Phase
from pipeline.errors import RequestError
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.plain import PlainEngine
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Reference
from tests.tokens.corpus import Literal
from tests.train.tiny import pretrain, tokens, weights_of

STEPS = 20
FIRST = tokens()
PLAIN_STEP = PlainEngine.step


def grown(*texts: str) -> Tokenize:
    """The corpus with a shard more."""
    before = FIRST.documents
    assert isinstance(before, Literal)
    return replace(FIRST, documents=Literal(shards=(*before.shards, tuple(("here", text) for text in texts))))


SECOND, THIRD = (grown(*(f"What number {number} says is quite new.\n" for number in range(count))) for count in (20, 40))


def phased(*ats: int, **fields: Any) -> Pretrain:
    """Trained on the second state from the first of some steps on, and on the third from the second."""
    later = zip(ats, (SECOND, THIRD), strict=False)
    return pretrain(STEPS, then=tuple(Phase(at=at, mixture=(Weighted(state),)) for at, state in later), **fields)


def trained(store: Store, step: Pretrain) -> Checkpoint:
    return Checkpoint(store, run([step], store, InlineExecutor()).manifests[step.address])


def losses(checkpoint: Checkpoint) -> list[tuple[int, float, float | None]]:
    return [(row["step"], row["loss"], row.get("validation_loss")) for row in checkpoint.metrics()]


def taken(monkeypatch: pytest.MonkeyPatch, fail_after: int | None = None) -> list[int]:
    """Counts the updates that are made from here on; the run breaks off after some of them."""
    steps: list[int] = []

    def counted(engine: PlainEngine, learning_rate: float) -> float:
        if len(steps) == fail_after:
            raise RuntimeError("pulled the plug")
        steps.append(1)
        return PLAIN_STEP(engine, learning_rate)

    monkeypatch.setattr(PlainEngine, "step", counted)
    return steps


def break_off(store: Store, step: Pretrain, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken(monkeypatch, after)
    with pytest.raises(RuntimeError, match="plug"):
        trained(store, step)


def test_a_run_of_one_phase_has_no_word_of_phases_in_its_recipe() -> None:
    assert "then" not in pretrain().recipe
    assert "then" in phased(12).recipe
    assert len({step.address for step in (pretrain(STEPS), phased(12), phased(13), phased(12, 15))}) == 4


@pytest.mark.parametrize(
    ("broken", "after", "goes_on", "left"),
    [
        ((), 12, (10,), 10),  # the last checkpoint is at the boundary itself
        ((), 13, (14,), 10),
        ((), 17, (12,), 10),  # it went beyond the boundary: the checkpoint before counts
        ((12,), 16, (12, 15), 5),  # a second boundary
        ((), 12, (11, 13), 10),  # two at once
    ],
)
def test_a_run_that_broke_off_goes_on_with_a_later_state_bit_for_bit_as_if_it_had_been_asked_for_from_the_start(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Sequence[int], after: int, goes_on: Sequence[int], left: int
) -> None:
    break_off(store, phased(*broken), after, monkeypatch)
    steps = taken(monkeypatch)
    found = trained(store, phased(*goes_on))
    assert len(steps) == left
    scratch = trained(open_store(str(tmp_path / "scratch")), phased(*goes_on))
    assert len(steps) == left + STEPS
    assert losses(found) == losses(scratch)
    assert weights_of(found.model) == weights_of(scratch.model)


def test_up_to_the_boundary_the_losses_are_those_of_the_run_without_it_and_behind_it_they_are_not(store: Store) -> None:
    without, within = losses(trained(store, pretrain(STEPS))), losses(trained(store, phased(12)))
    assert within[:12] == without[:12]
    assert within[12][1] != without[12][1]


def test_earlier_states_may_be_named_by_their_addresses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(store, phased(), 12, monkeypatch)
    run([SECOND], store, InlineExecutor())
    steps = taken(monkeypatch)
    by_address = pretrain(
        STEPS,
        mixture=(Weighted(Reference(of=FIRST.address, opens=TokenShards)),),
        then=(Phase(at=12, mixture=(Weighted(Reference(of=SECOND.address, opens=TokenShards)),)),),
    )
    assert by_address.address == phased(12).address
    assert trained(store, by_address).facts["steps"] == STEPS
    assert len(steps) == STEPS - 10


@pytest.mark.parametrize("at", [3, 15])
def test_where_nothing_can_be_taken_over_it_begins_with_the_first_step_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    """The checkpoints are behind the boundary; or they went when the run was done."""
    if at == 3:
        break_off(store, pretrain(STEPS), 8, monkeypatch)
    else:
        trained(store, pretrain(STEPS))
    steps = taken(monkeypatch)
    with caplog.at_level(logging.WARNING):
        trained(store, phased(at))
    assert len(steps) == STEPS
    assert f"no checkpoint to go on from up to step {at} in {pretrain(STEPS).address}: training begins with the first step" in caplog.text


def test_its_own_checkpoint_counts_before_an_older_one_of_the_run_it_went_on_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(store, pretrain(STEPS), 12, monkeypatch)
    break_off(store, phased(12), 7, monkeypatch)
    steps = taken(monkeypatch)
    trained(store, phased(12))
    assert len(steps) == 5


def test_a_damaged_checkpoint_of_another_run_is_passed_over_and_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    break_off(store, pretrain(STEPS), 12, monkeypatch)
    folder = Path(store.url, pretrain(STEPS).address)
    (damaged,) = folder.glob("work/checkpoints/*/step-00000010/*/engine/*")
    damaged.write_bytes(b"")
    steps = taken(monkeypatch)
    with caplog.at_level(logging.WARNING):
        trained(store, phased(12))
    assert len(steps) == STEPS - 5
    assert "the checkpoint of 10 steps is damaged" in caplog.text
    assert damaged.exists()


def test_the_card_names_the_corpora_of_all_phases(store: Store) -> None:
    card = (trained(store, phased(12)).model / "README.md").read_text()
    for state in (FIRST, SECOND):
        assert f"| {state.address} | here |" in card
    assert f"From step 12 on, counted from 0, {SECOND.address} took the place of what came before." in card


def test_a_boundary_outside_the_run_is_refused_before_anything_starts() -> None:
    with pytest.raises(RequestError, match=r"then\[0\]\.at is 20, in a run of 20 steps"):
        phased(20)


def test_a_later_state_with_another_tokenizer_is_refused_before_the_gang_starts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(SECOND, tokenizer=replace(FIRST.tokenizer, vocab_size=300))
    run([other], store, InlineExecutor())
    steps = taken(monkeypatch)
    step = pretrain(STEPS, then=(Phase(at=12, mixture=(Weighted(Reference(of=other.address, opens=TokenShards)),)),))
    with pytest.raises(RequestError, match=r"then\[0\]\.mixture\[0\] has the tokenizer .* tokenize all corpora"):
        trained(store, step)
    assert steps == []
