"""What pretraining is worth to a task: a checkpoint, the same architecture with fresh weights, and a baseline that has no network.

Every pair is trained on the same examples in the same order with the same settings; seeds draw head, order and dropout. A gain is sure
beyond chance where its interval leaves 0 out: it is of the same test examples, drawn again for both. The data is public and is not part
of the project; each case is skipped, with its name, where its files are not there.
"""

import argparse
import csv
import json
import random
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.measuring import save
from jobs.command import load_recipe
from jobs.finetuning import FinetuneRecipe
from jobs.recipe import Compute
from pipeline.finetune.base import Answered, FinetuneTask
from pipeline.finetune.finetune import ANSWERS
from pipeline.finetune.question_answering import QuestionAnswering
from pipeline.finetune.records import Labelled
from pipeline.finetune.saving import save_model
from pipeline.metrics.reading import words
from pipeline.metrics.totals import Totals, summed, with_intervals
from pipeline.storage import open_store
from pipeline.train.schedule import Schedule
from pipeline.workflow.artifact import Artifact, read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact

Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A task with its data, the metrics that are compared, and what a baseline says of each test record."""

    name: str
    family: str
    recipe: str
    metrics: tuple[str, ...]
    """Of a test set: the one that the baseline is scored by, and others."""
    fields: Mapping[str, Any]
    prepare: Callable[[Path, Path], None]
    """Writes train.*, test.* for the recipe into a folder, from the data."""
    baseline: Callable[[Path, FinetuneTask], tuple[str, float]]
    settings: Mapping[str, Any]


def rows_of(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _apart(rows: Sequence[Record], folder: Path, share: float = 0.8) -> None:
    """The same parting each time."""
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    cut = int(share * len(rows))
    write_rows(folder / "train.jsonl", shuffled[:cut])
    write_rows(folder / "test.jsonl", shuffled[cut:])


def _sst2(data: Path, folder: Path) -> None:
    for name, file in (("train", "train.tsv"), ("test", "dev.tsv")):
        with (data / "finetune/sst2" / file).open() as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        write_rows(folder / f"{name}.jsonl", [{"text": row["sentence"].strip(), "label": row["label"]} for row in rows])


def _few_of_sst2(data: Path, folder: Path) -> None:
    _sst2(data, folder)
    write_rows(folder / "train.jsonl", rows_of(folder / "train.jsonl")[:2000])


def _agnews(data: Path, folder: Path) -> None:
    lines = (data / "finetune/agnews/dev.tsv").read_text().splitlines()
    _apart([dict(zip(("text", "label"), line.rsplit("\t", 1), strict=True)) for line in lines], folder)


def _conll(data: Path, folder: Path) -> None:
    for name, file in (("train", "esp.train"), ("test", "esp.testb")):
        shutil.copyfile(data / "finetune/conll2002" / file, folder / f"{name}.conll")


def _multi30k(data: Path, folder: Path) -> None:
    for name in ("train", "val"):
        for side in ("de", "en"):
            shutil.copyfile(data / f"finetune/multi30k/{name}.{side}.gz", folder / f"{name}.{side}.gz")


def _xquad(language: str) -> Callable[[Path, Path], None]:
    def prepare(data: Path, folder: Path) -> None:
        articles = json.loads((data / f"finetune/xquad/xquad.{language}.json").read_text())["data"]
        paragraphs = [{"paragraphs": [paragraph]} for article in articles for paragraph in article["paragraphs"]]
        random.Random(0).shuffle(paragraphs)
        cut = int(0.8 * len(paragraphs))
        for name, part in (("train", paragraphs[:cut]), ("test", paragraphs[cut:])):
            (folder / f"{name}.json").write_text(json.dumps({"data": part}, ensure_ascii=False))

    return prepare


def _dialogsum(data: Path, folder: Path) -> None:
    _apart(rows_of(data / "finetune/dialogsum/dialogsum.dev.jsonl"), folder)


def bag_of_words(folder: Path, task: FinetuneTask) -> tuple[str, float]:  # noqa: ARG001
    """Logistic regression on words and pairs of them, by scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = rows_of(folder / "train.jsonl"), rows_of(folder / "test.jsonl")
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(features.fit_transform([row["text"] for row in train]), [row["label"] for row in train])
    said = model.predict(features.transform([row["text"] for row in test]))
    return "bag of words, logistic regression", mean(row["label"] == label for row, label in zip(test, said, strict=True))


def most_frequent_tags(folder: Path, task: FinetuneTask) -> tuple[str, float]:
    """Each word has the tag that it had most often; one that was never seen has none."""
    train, test = (_rows(folder / f"{name}.conll", task, "conll", ("tokens", "tags")) for name in ("train", "test"))
    tags = defaultdict[str, Counter[str]](Counter)
    for row in train:
        for word, tag in zip(row["tokens"], row["tags"], strict=True):
            tags[word][tag] += 1
    usual = {word: counted.most_common(1)[0][0] for word, counted in tags.items()}
    said = [(row, {"tags": [usual.get(word, "O") for word in row["tokens"]]}) for row in test]
    return "most frequent tag of a word", _score(task, said, "f1")


def nearest_sentence(folder: Path, task: FinetuneTask) -> tuple[str, float]:
    """The sentence that shares most words with the question; in Chinese, characters."""
    assert isinstance(task, QuestionAnswering)
    said = []
    for row in _rows(folder / "test.json", task, "squad"):
        question = set(words(row["question"], task.language))
        sentences = re.split(r"(?<=[.!?]) |(?<=[。！？])", row["text"])
        said.append((row, {"answer": max(sentences, key=lambda sentence: len(question & set(words(sentence, task.language))))}))
    return "sentence with most words of the question", _score(task, said, "f1")


def first_turns(folder: Path, task: FinetuneTask) -> tuple[str, float]:
    """The first two turns of a dialogue."""
    said = [(row, {"text": " ".join(row["text"].splitlines()[:2])}) for row in _rows(folder / "test.jsonl", task)]
    return "first two turns", _score(task, said, "rouge1")


def the_source(folder: Path, task: FinetuneTask) -> tuple[str, float]:
    """The source as it is."""
    from pipeline.finetune.records import RecordFiles

    files = RecordFiles.at((str(folder / "val.de.gz"), str(folder / "val.en.gz")), "lines", ("source", "target"))
    rows = [task.row(record.values) for record in files.records() if isinstance(record, Labelled)]
    return "the source as it is", _score(task, [(row, {"text": row["source"]}) for row in rows], "chrf")


def _rows(path: Path, task: FinetuneTask, layout: Any = "table", columns: tuple[str, ...] = ()) -> list[Any]:
    from pipeline.finetune.examples import settle
    from pipeline.finetune.records import RecordFiles

    settled = (settle(record, task) for record in RecordFiles.at((str(path),), layout, columns).records())
    return [row for row in settled if not isinstance(row, str)]


def _score(task: FinetuneTask, said: Sequence[tuple[Any, Any]], metric: str) -> float:
    return float(task.metrics(summed([task.score(Answered(row, prediction)) for row, prediction in said]))[metric])


def main() -> None:
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory(prefix="millrace-") as scratch:
        for case in CASES:
            if options.cases and case.name not in options.cases:
                continue
            checkpoint = getattr(options, case.family)
            if checkpoint is None:
                print(f"{case.name}: no checkpoint of family {case.family} was named")
                continue
            folder = Path(scratch, case.name)
            folder.mkdir()
            case.prepare(Path(options.data), folder)
            rows += measured(case, folder, str(checkpoint), options.root, options.seeds)
            save("finetuning", rows, seeds=options.seeds)


def measured(case: Case, folder: Path, checkpoint: str, root: str, seeds: int) -> list[dict[str, Any]]:
    """The checkpoint, its twin with fresh weights, what the one gains over the other, and the baseline."""
    twin = folder / "fresh"
    fresh(Path(checkpoint), twin)
    recipe = recipe_of(case, folder)
    tuned = {
        name: [finetuned(replace(recipe, checkpoint=place, seed=seed), root) for seed in range(seeds)]
        for name, place in (("pretrained", checkpoint), ("fresh weights", str(twin)))
    }
    found = [
        {"task": case.name, "model": name, **row_of(metric, [run.facts["test"] for run in runs])}
        for name, runs in tuned.items()
        for metric in case.metrics
    ]
    found += [{"task": case.name, "model": "gain", **row} for row in gains(recipe.task, case.metrics, *tuned.values())]
    peer, value = case.baseline(folder, recipe.task)
    row = {"task": case.name, "model": peer, "metric": case.metrics[0], "mean": round(value, 4), "examples": found[0]["examples"]}
    return [*found, row]


def row_of(metric: str, scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A metric over seeds; its interval is the mean of theirs, over resampled examples."""
    values = [score[metric] for score in scores]
    lows, highs = ([score[f"{metric}{end}"] for score in scores] for end in ("_low", "_high"))
    return {
        "metric": metric,
        "mean": round(mean(values), 4),
        "over seeds": round(stdev(values), 4) if len(values) > 1 else "",
        "95 % interval": f"{mean(lows):.4f} to {mean(highs):.4f}",
        "examples": scores[0]["n"],
        "values": [round(value, 4) for value in values],
    }


def recipe_of(case: Case, folder: Path) -> FinetuneRecipe:
    """The preset, on the prepared files."""
    preset = load_recipe(case.recipe, FinetuneRecipe)
    fields = {
        name: tuple(str(folder / file) for file in value) if name in ("train", "validation", "test") else value
        for name, value in case.fields.items()
    }
    compute = Compute(workers=1, engine="plain", micro_batch=64, save_every=10_000)
    return replace(preset, compute=compute, **fields, **case.settings)


def finetuned(recipe: FinetuneRecipe, root: str) -> Artifact:
    """A fine-tuned model."""
    store = open_store(root)
    step = recipe.target(store)
    if read_manifest(store, step.address) is None:
        run([step], store, InlineExecutor())
    return open_artifact(store, step)


def gains(task: FinetuneTask, metrics: Sequence[str], models: Sequence[Artifact], twins: Sequence[Artifact]) -> list[dict[str, Any]]:
    """By how much the models' mean of a metric is above their twins', and the interval of that: both are asked the same examples."""
    runs = [test_scores(model) for model in (*models, *twins)]
    together = [
        {f"{run} {name}": value for run, score in enumerate(scores) for name, value in score.items()} for scores in zip(*runs, strict=True)
    ]

    def differences(totals: Totals) -> dict[str, float]:
        each = [task.metrics({"n": totals["n"], **_of_run(run, totals)}) for run in range(len(runs))]
        return {name: mean(one[name] for one in each[: len(models)]) - mean(one[name] for one in each[len(models) :]) for name in metrics}

    found = with_intervals(together, differences)
    ends = {name: f"{found[f'{name}_low']:+.4f} to {found[f'{name}_high']:+.4f}" for name in metrics}
    return [{"metric": name, "mean": round(found[name], 4), "95 % interval": ends[name], "examples": found["n"]} for name in metrics]


def _of_run(run: int, totals: Totals) -> dict[str, float]:
    return {name.removeprefix(f"{run} "): value for name, value in totals.items() if name.startswith(f"{run} ")}


def test_scores(model: Artifact) -> list[Totals]:
    """What each answer to a test example is worth."""
    import pyarrow.parquet as pq

    rows = (row for file in model.files(ANSWERS) for row in pq.read_table(model.local(file), columns=["set", "score"]).to_pylist())
    return [json.loads(row["score"]) for row in rows if row["set"] == "test"]


def fresh(checkpoint: Path, folder: Path) -> None:
    """The same architecture and tokenizer with weights as they are drawn."""
    import torch
    import transformers

    from pipeline.models import lstm_checkpoint  # transformers has no LSTM

    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.suffix in (".json", ".jinja"):
            shutil.copyfile(path, folder / path.name)
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    torch.manual_seed(0)
    (name,) = config.architectures
    save_model(folder, getattr(transformers if hasattr(transformers, name) else lstm_checkpoint, name)(config))


QUICK = {"epochs": 3.0, "batch": 64, "schedule": Schedule(peak=5e-4, warmup=0.1, floor=0.0, decay="linear")}
LONG = {**QUICK, "epochs": 10.0, "batch": 32}
ONCE = {"epochs": 1.0, "batch": 64}
WRITING = {"epochs": 5.0, "batch": 16}
NATS = ("perplexity",)
"""Of the texts that people wrote: what is generated says little of so small a model."""
TABLE = {"train": ("train.jsonl",), "test": ("test.jsonl",)}
CONLL = {"train": ("train.conll",), "test": ("test.conll",)}
SQUAD = {"train": ("train.json",), "test": ("test.json",)}
SQUAD_ZH = {**SQUAD, "task": QuestionAnswering(language="zh")}
LINES = {"train": ("train.de.gz", "train.en.gz"), "test": ("val.de.gz", "val.en.gz"), "layout": "lines", "columns": ("source", "target")}
AG_NEWS = Case("AG news", "encoder", "classification", ("accuracy",), TABLE, _agnews, bag_of_words, {**QUICK, "epochs": 5.0})
CASES = (
    Case("SST-2", "encoder", "classification", ("accuracy",), TABLE, _sst2, bag_of_words, QUICK),
    Case("SST-2, 2,000 examples", "encoder", "classification", ("accuracy",), TABLE, _few_of_sst2, bag_of_words, {**QUICK, "epochs": 10.0}),
    AG_NEWS,
    Case("CoNLL-2002, Spanish", "spanish_encoder", "entities", ("f1",), CONLL, _conll, most_frequent_tags, {**QUICK, "batch": 32}),
    Case("XQuAD, English", "encoder", "answers", ("f1",), SQUAD, _xquad("en"), nearest_sentence, LONG),
    Case("XQuAD, Chinese", "chinese_encoder", "answers", ("f1",), SQUAD_ZH, _xquad("zh"), nearest_sentence, LONG),
    Case("Multi30k, German to English", "decoder", "translation", ("chrf", *NATS), LINES, _multi30k, the_source, ONCE),
    Case("DialogSum", "decoder", "dialogue_summaries", ("rouge1", *NATS), TABLE, _dialogsum, first_turns, WRITING),
)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder with finetune/sst2, finetune/agnews and so on")
    parser.add_argument("--root", default="runs", help="where artifacts live: what is there already is not trained again")
    parser.add_argument("--encoder", help="the folder of a pretrained encoder")
    parser.add_argument("--spanish-encoder", help="the folder of an encoder that has seen Spanish")
    parser.add_argument("--chinese-encoder", help="the folder of an encoder that has seen Chinese")
    parser.add_argument("--decoder", help="the folder of a pretrained decoder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", help="names of cases; none: all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
