"""Windows in slices, before anything starts: who reads what, what cannot be cut, and what a worker is told to need."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.errors import RequestError
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.t5 import T5
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.train.estimate import memory_of
from pipeline.train.gang import rows_of
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from tests.train.tiny import Lone, pretrain


def sliced(slices: int, **fields: Any) -> Pretrain:
    return pretrain(**{"engines": PlainEngines(sequence_parallel=slices), "workers": slices, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"workers": 3}, "workers is 3, and sequence_parallel is 2, which does not divide it: use a multiple, or 1"),
        ({"workers": 1}, "workers is 1, and sequence_parallel is 2"),
        ({"model": Llama(dim=36, depth=1, heads=3)}, "model.heads is 3, and sequence_parallel is 2"),
        ({"context": 31}, "context is 31, and sequence_parallel is 2"),
        ({"batch": 3, "workers": 4}, "batch is 3 windows, which 2 groups of 2 workers cannot share evenly: use a multiple of 2"),
        ({"model": Bert(dim=32, depth=1, heads=2), "objective": MaskedTokens()}, r"of a window of Bert \(more tokens are hidden"),
        ({"model": T5(dim=32, depth=1, heads=2), "objective": CorruptedSpans()}, r"of a window of T5 \(it becomes two texts"),
        ({"model": Lstm(dim=32, depth=1)}, r"of a window of Lstm \(each token waits .*\): use 1"),
        ({"engines": DeepSpeedEngines(sequence_parallel=0)}, "sequence_parallel is 0: use 1"),
    ],
)
def test_what_cannot_be_trained_in_slices_is_refused_before_anything_starts(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        sliced(2, **fields)


def test_slices_change_no_address() -> None:
    assert {sliced(2, engines=engines).address for engines in (PlainEngines(), DeepSpeedEngines(sequence_parallel=2))} == {
        pretrain().address
    }


def test_a_smaller_gang_has_whole_groups_that_share_the_batch() -> None:
    assert sliced(2, batch=12, workers=12, least_workers=1).sizes == (12, 8, 6, 4, 2)


@given(slices=st.integers(1, 5), readers=st.integers(1, 5), share=st.integers(1, 4))
def test_every_row_is_read_by_one_group_of_neighbours(slices: int, readers: int, share: int) -> None:
    batch, size = readers * share, readers * slices
    read = [list(range(batch))[rows_of(Lone(rank, size), batch, slices)] for rank in range(size)]
    assert [row for rows in read[::slices] for row in rows] == list(range(batch))
    assert all(rows == read[rank - rank % slices] for rank, rows in enumerate(read))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("model", [Llama(dim=64, depth=4, heads=4), GPT2(dim=64, depth=4, heads=4)])
def test_what_passes_through_is_cut_and_the_mask_is_not(model: Llama | GPT2, recompute: bool) -> None:
    def passed(slices: int, attend: str) -> int:
        step = sliced(slices, workers=4, model=model, attend=attend, recompute=recompute, micro_batch=1, context=256, token_budget=10**6)
        return memory_of(step, 320).activations

    assert passed(4, "window") * 4 == pytest.approx(passed(1, "window"), abs=8)
    masks = passed(1, "document") - passed(1, "window")
    assert passed(4, "document") - passed(4, "window") == pytest.approx(masks, abs=8)
    assert masks > 0
