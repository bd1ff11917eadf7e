"""Tasks of lm-eval, run by itself on our checkpoints."""

import importlib.util
import json
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.harness import Harness, measured
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.evaluate.conftest import Trained

INSTALLED = importlib.util.find_spec("lm_eval") is not None
QUESTIONS = [
    {"question": f"Where is the fox of hill {number}?", "choices": ["On the hill.", "In the river."], "gold": 0} for number in range(12)
]
TASK = """
task: places
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def test_metrics_are_named_without_their_filter_and_have_the_interval_of_their_standard_error() -> None:
    found = measured({"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.1, "em,strict-match": 0.25, "em_stderr,strict-match": "N/A"})
    assert found == pytest.approx({"acc": 0.5, "acc_low": 0.304, "acc_high": 0.696, "em_strict_match": 0.25}, abs=1e-3)


@pytest.mark.skipif(INSTALLED, reason="lm-eval is installed")
def test_without_lm_eval_the_request_says_how_to_have_it(trained: Trained) -> None:
    with pytest.raises(RequestError, match=r"pip install -e '\.\[harness\]'"):
        Harness.at(ForeignCheckpoint.at(str(trained.folder)), ("arc_easy",))


@pytest.mark.skipif(not INSTALLED, reason="lm-eval is not installed: pip install -e '.[harness]'")
def test_a_task_of_lm_eval_is_run_by_it(trained: Trained, tmp_path: Path) -> None:
    data = tmp_path / "places.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    (tmp_path / "places.yaml").write_text(TASK.format(data=data))
    step = Harness.at(trained.step, ("places",), str(tmp_path))
    scores = run([step], trained.store, InlineExecutor()).manifests[step.address].facts["scores"]["harness/places"]
    assert scores["n"] == 12
    assert 0 <= scores["acc_low"] <= scores["acc"] <= scores["acc_high"] <= 1 or scores["acc"] in (0.0, 1.0)
    with pytest.raises(RequestError, match="has no task 'nowhere'"):
        Harness.at(trained.step, ("nowhere",), str(tmp_path))
