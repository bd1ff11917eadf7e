"""The order of windows, and examples that are counted whatever becomes of them."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.finetune.examples import ReadExamples, survey
from pipeline.finetune.records import RecordFiles
from pipeline.finetune.sequence_classification import SequenceClassification
from pipeline.finetune.windows import EncodeExamples, Visits, is_held_out
from pipeline.models.llama import Llama
from pipeline.storage import open_store
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.finetune.conftest import Family


@given(count=st.integers(1, 200), batch=st.integers(1, 50), seed=st.integers(0, 3))
def test_every_window_is_visited_once_an_epoch_and_batches_are_parts_of_the_order(count: int, batch: int, seed: int) -> None:
    visits = Visits(count, seed)
    steps = -(-2 * count // batch)
    order = [number for step in range(steps) for number in visits.numbers(step * batch, batch)]
    assert sorted(order[:count]) == sorted(order[count : 2 * count]) == list(range(count))
    assert order == visits.numbers(0, steps * batch)


def test_what_is_read_is_kept_or_dropped_by_reason_and_windows_are_of_what_is_not_held_out(family: Family, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"hill {number}", "label": number % 2} for number in range(50)]
    odd = [{"text": "", "label": 1}, {"label": 1}, {"text": "no label"}, {"text": ["a"], "label": 0}]
    path.write_text("".join(json.dumps(row) + "\n" for row in (*rows, *odd)) + "{broken\n")
    task = SequenceClassification()
    examples = ReadExamples(files=RecordFiles.at((str(path),)), task=task)
    checkpoint = ForeignCheckpoint.at(str(family(Llama(dim=32, depth=2, heads=2))))
    encoded = EncodeExamples(examples=examples, checkpoint=checkpoint, task=task, held_out=0.2)
    outcome = run([encoded], open_store(str(tmp_path / "root")), InlineExecutor())
    read, shown = outcome.manifests[examples.address].facts, outcome.manifests[encoded.address].facts
    reasons = Counter({"empty-text": 1, "no-text": 1, "no-label": 1, "text-is-no-text": 1, "malformed-json": 1})
    assert (read["read"], read["kept"], Counter(read["dropped"])) == (55, 50, reasons)
    assert read["labels"] == {"0": 25, "1": 25}
    assert shown["read"] == 50 == shown["kept"] + shown["dropped"]["held-out"]
    assert shown["windows"] == shown["kept"] < 50


def test_questions_on_one_paragraph_are_held_out_together() -> None:
    held_out = [[is_held_out(f"squad.json#{paragraph}.{number}", 0.3) for number in range(5)] for paragraph in range(60)]
    assert all(len(set(paragraph)) == 1 for paragraph in held_out)
    assert 5 < sum(paragraph[0] for paragraph in held_out) < 35


def test_a_set_without_the_column_is_refused_with_those_it_has(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"sentence": "a", "label": 1}\n')
    with pytest.raises(RequestError, match=r"no column 'text', only sentence, label: name the right one by --task\.text"):
        survey(RecordFiles.at((str(path),)), SequenceClassification())


def test_a_set_with_nothing_to_learn_from_is_refused_with_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": " ", "label": 1}\n{"text": "a", "label": ""}\n')
    with pytest.raises(RequestError, match=r"1 empty-text, 1 empty-label"):
        survey(RecordFiles.at((str(path),)), SequenceClassification())
