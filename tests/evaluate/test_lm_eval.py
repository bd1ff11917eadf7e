"""Scores equal those of lm-eval, example by example: the same strings, tokens, likelihoods and metrics.

lm-eval is no part of the test environment: pip install -e '.[harness]' adds it.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.blimp import Blimp
from pipeline.evaluate.cloze import Cloze
from pipeline.evaluate.continuations import ContinuationTask
from pipeline.evaluate.continuer import Continuer
from pipeline.evaluate.crows_pairs import CrowsPairs
from pipeline.evaluate.evaluate import measured, scored
from pipeline.evaluate.hellaswag import Hellaswag
from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.scores import Scores
from pipeline.evaluate.task_file import TaskFile
from tests.evaluate.conftest import Trained

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[harness]'")

EXAMPLES = 20
CHOICES = {"doc_to_choice": "{{choices}}", "doc_to_target": "{{gold}}"}
ENDS = {"accuracy": "acc", "accuracy_norm": "acc_norm", "accuracy_pmi": "acc_mutual_info", "brier": "brier_score"}


class Case(NamedTuple):
    """A task of ours, and lm-eval's words for the same: its own, with the columns of these files."""

    ours: Callable[[TaskFile], ContinuationTask]
    theirs: Mapping[str, Any]
    metrics: Mapping[str, str] = {name: ENDS[name] for name in ("accuracy", "accuracy_norm", "brier")}


def of_hellaswag(record: dict[str, Any]) -> dict[str, Any]:
    """The columns that the file had before it was shortened."""
    begun, stop, rest = record["ctx"].rpartition(". ")
    parts = (f"{begun}{stop}".rstrip(), rest) if rest[:1].islower() else (record["ctx"], "")
    return {**record, "ctx_a": parts[0], "ctx_b": parts[1]}


def case(name: str) -> Case:
    if name == "hellaswag-first5000.jsonl.gz":
        from lm_eval.tasks.hellaswag.utils import process_docs

        theirs = {"process_docs": process_docs, "doc_to_text": "{{query}}", "doc_to_target": "{{label}}", "doc_to_choice": "choices"}
        return Case(
            lambda file: Hellaswag(file=file, unconditional=None), theirs, {name: ENDS[name] for name in ("accuracy", "accuracy_norm")}
        )
    if name == "crows-pairs.csv":
        from lm_eval.tasks.crows_pairs.utils import doc_to_choice, process_results

        theirs = {
            "doc_to_text": "",
            "doc_to_target": 0,
            "target_delimiter": "",
            "doc_to_choice": doc_to_choice,
            "process_results": process_results,
        }
        return Case(
            lambda file: CrowsPairs(file=file), theirs, {"stereotyped": "pct_stereotype", "likelihood_difference": "likelihood_diff"}
        )
    return {
        "arc_easy.jsonl": Case(
            lambda file: MultipleChoice(file=file, unconditional=""), {"doc_to_text": "{{query}}\nAnswer:", **CHOICES}, ENDS
        ),
        "piqa.jsonl": Case(
            lambda file: MultipleChoice(file=file, prompt="{query}Answer:", unconditional=None),
            {"doc_to_text": "{{query}}Answer:", **CHOICES},
        ),
        "boolq.jsonl": Case(lambda file: MultipleChoice(file=file, unconditional=None), {"doc_to_text": "{{query}}\nAnswer:", **CHOICES}),
        "lambada_openai.jsonl": Case(
            lambda file: Cloze(file=file),
            {"output_type": "loglikelihood", "doc_to_text": "{{context}}", "doc_to_target": "{{' ' + continuation}}"},
            {"accuracy": "acc", "perplexity": "perplexity"},
        ),
        "blimp/adjunct_island.jsonl": Case(
            lambda file: Blimp(file=file),
            {"doc_to_text": "", "doc_to_target": 0, "doc_to_choice": "{{[sentence_good, sentence_bad]}}"},
            {"accuracy": "acc"},
        ),
    }[name]


@pytest.fixture(scope="module")
def model(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small checkpoint with room for whole questions: a decoder with rotary positions can be asked beyond what it was trained on."""
    folder = tmp_path_factory.mktemp("model") / "model"
    shutil.copytree(trained.folder, folder)
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        fields = json.loads(path.read_text()) | {"max_position_embeddings": 1024, "model_max_length": 1024}
        path.unlink()
        path.write_text(json.dumps(fields))
    return folder


def few(place: Path, folder: Path) -> TaskFile:
    """The first records of a benchmark, in a file of JSON Lines."""
    if place.suffix == ".csv":
        rows = islice(TaskFile.at(str(place)).rows(), EXAMPLES)
        records = [{name: value for name, value in row.columns.items() if name} for row in rows]
    else:
        with (gzip.open if place.suffix == ".gz" else open)(place, "rt") as lines:
            records = [json.loads(line) for line in islice(lines, EXAMPLES)]
    path = folder / "few.jsonl"
    path.write_text("".join(json.dumps(of_hellaswag(record) if "ctx" in record else record) + "\n" for record in records))
    return TaskFile.at(str(path))


def by_lm_eval(model: Path, file: TaskFile, theirs: Mapping[str, Any], metrics: Mapping[str, str], cache: Path) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    config = {
        "task": "few",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": file.location}, "cache_dir": str(cache)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "metric_list": [
            {"metric": metric, **({"aggregation": "mean"} if "process_results" in theirs else {})} for metric in metrics.values()
        ],
        **theirs,
    }
    asked = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=4)
    found: dict[str, Any] = simple_evaluate(model=asked, tasks=[config], bootstrap_iters=0, log_samples=True)
    return found


@pytest.mark.parametrize(
    "name",
    [
        *("arc_easy.jsonl", "piqa.jsonl", "boolq.jsonl", "lambada_openai.jsonl", "hellaswag-first5000.jsonl.gz"),
        *("crows-pairs.csv", "blimp/adjunct_island.jsonl"),
    ],
)
def test_likelihoods_and_metrics_are_those_of_lm_eval(shared_data: Path, tmp_path: Path, model: Path, name: str) -> None:
    ours, theirs, metrics = case(name)
    file = few(shared_data / "evaluate" / name, tmp_path)
    task, scores = ours(file), Scores()
    pairs = list(Continuer(model).answers(task.examples(NoDocuments())))
    list(scored(task, iter(pairs), scores))
    expected = by_lm_eval(model, file, theirs, metrics, tmp_path / "cache")
    samples = sorted(expected["samples"]["few"], key=lambda sample: sample["doc_id"])
    for (question, answer), sample in zip(pairs, samples, strict=True):
        assert [tuple(argument[:2]) for argument in sample["arguments"]] == list(question.pairs)
        responses = [response[0] for response in sample["resps"]]
        assert list(answer.logs) == pytest.approx([log for log, _ in responses], rel=1e-6)
        assert list(answer.greedy) == [greedy for _, greedy in responses]
    measures = measured(task, scores, NoDocuments())
    for metric, called in metrics.items():
        assert measures[metric] == pytest.approx(expected["results"]["few"][f"{called},none"], rel=1e-6), metric
