"""What every objective promises: each file in pipeline/objectives that has one is found and tried here."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pipeline.objectives
from pipeline.batches.packing import Batch
from pipeline.objectives.base import Objective, Place, Questions
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.recorded import objective_of
from pipeline.workflow.fingerprint import canonical
from tests.objectives.texts import lexicon_of, windows, write_tokenizer

for module in pkgutil.iter_modules(pipeline.objectives.__path__):
    importlib.import_module(f"pipeline.objectives.{module.name}")
OBJECTIVES = sorted(Objective.__subclasses__(), key=lambda kind: kind.__name__)
BATCH, CONTEXT = 12, 40
each = pytest.mark.parametrize("kind", OBJECTIVES)


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def asked(kind: type[Objective], tokenizer_json: Path, seed: int = 0) -> tuple[Questions, Lexicon]:
    lexicon = lexicon_of(tokenizer_json, kind(), CONTEXT)
    return kind().questions(lexicon, "window", seed), lexicon


def rows_of(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.tokens[rows], batch.documents[rows], batch.positions[rows])


def same(found: list[NDArray[Any]], expected: list[NDArray[Any]]) -> bool:
    return len(found) == len(expected) and all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_there_is_one() -> None:
    assert OBJECTIVES


@each
def test_a_recipe_without_arguments_stands_has_a_canonical_form_and_is_found_again_by_it(kind: type[Objective]) -> None:
    assert objective_of({"objective": canonical(kind())}) == kind()


@each
def test_its_recipe_is_read_without_torch(kind: type[Objective]) -> None:
    program = f"import sys, {kind.__module__} as module; module.{kind.__name__}(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@given(
    kind=st.sampled_from(OBJECTIVES), workers=st.sampled_from([1, 2, 3, 4, 6, 12]), micro=st.integers(1, 12), step=st.integers(0, 1 << 40)
)
def test_any_sharing_of_a_batch_among_workers_and_micro_batches_gives_the_same_inputs(
    tokenizer_json: Path, kind: type[Objective], workers: int, micro: int, step: int
) -> None:
    questions, lexicon = asked(kind, tokenizer_json)
    batch, share = windows(lexicon, BATCH, CONTEXT), BATCH // workers
    whole = questions.inputs(batch, slice(0, BATCH), Place(step, 0))
    shared = [
        asked(kind, tokenizer_json)[0].inputs(
            rows_of(batch, slice(first, first + share)), slice(start, min(start + micro, share)), Place(step, first)
        )
        for first in range(0, BATCH, share)
        for start in range(0, share, micro)
    ]
    assert same([np.concatenate(arrays) for arrays in zip(*shared, strict=True)], whole)


@each
def test_windows_seen_again_are_asked_anew_if_anything_is_drawn(kind: type[Objective], tokenizer_json: Path) -> None:
    questions, lexicon = asked(kind, tokenizer_json)
    batch = windows(lexicon, BATCH, CONTEXT)
    first = questions.inputs(batch, slice(0, 4), Place(0, 0))
    drawn = not same(first, questions.inputs(batch, slice(0, 4), Place(1, 0)))
    assert drawn == bool(kind().added(CONTEXT)), "what hides something needs a token for that, and draws what it hides"
    assert drawn != same(first, asked(kind, tokenizer_json, seed=1)[0].inputs(batch, slice(0, 4), Place(0, 0)))
    assert drawn != same(first, questions.inputs(batch, slice(0, 4), Place(0, 4)))


@each
def test_held_out_text_is_asked_the_same_in_every_run_and_wherever_it_stands(kind: type[Objective], tokenizer_json: Path) -> None:
    questions, lexicon = asked(kind, tokenizer_json)
    batch = windows(lexicon, BATCH, CONTEXT)
    whole = questions.inputs(batch, slice(0, BATCH), None)
    other, _ = asked(kind, tokenizer_json, seed=9)
    assert same(other.inputs(rows_of(batch, slice(5, 9)), slice(1, 3), None), [array[6:8] for array in whole])


@each
def test_its_inputs_are_within_the_vocabulary(kind: type[Objective], tokenizer_json: Path) -> None:
    questions, lexicon = asked(kind, tokenizer_json)
    inputs = questions.inputs(windows(lexicon, BATCH, CONTEXT), slice(0, BATCH), Place(0, 0))
    assert all(len(array) == BATCH and array.max() < lexicon.size for array in inputs)
    assert lexicon.size == lexicon.tokenizer_size + len(kind().added(CONTEXT))
