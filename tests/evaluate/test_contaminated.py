"""Contamination: exactly the examples that stand in what a model was trained on are told apart, and scored apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import Documents
from pipeline.errors import RequestError
from pipeline.evaluate.answers import read_answers
from pipeline.evaluate.clean_scores import CleanScores
from pipeline.evaluate.contaminated import OVERLAPS, PARTS, Contaminated, read_groups
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.taught import Corpus
from pipeline.storage import Store, open_store
from pipeline.tokens.split import Split
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.evaluate.conftest import Trained
from tests.evaluate.files import QUESTIONS, written
from tests.executors import Backwards
from tests.tokens.corpus import Literal, literal
from tests.train.tiny import TEXTS

NOTHING = Split(fraction=0)
CHOICES = ["a bat", "a dog"]
LONG = [
    {"query": f"Which of these {number} animals sleeps in winter under the old wooden bridge of our town?", "choices": CHOICES, "gold": 0}
    for number in ("seven", "eight", "nine", "twelve")
]
CHINESE = {"query": "床前明月光，疑是地上霜。举头望明月，低头思故乡。", "choices": ["李白", "杜甫"], "gold": 0}
RECORDS: Sequence[dict[str, Any]] = [*LONG, CHINESE, dict(QUESTIONS[0])]
FILLED = "The river was low that year, and nobody spoke of it."


def task(folder: Path, records: Sequence[dict[str, Any]] = RECORDS, name: str = "long") -> MultipleChoice:
    return MultipleChoice(file=written(folder, records, f"{name}.jsonl"), unconditional=None)


def looked(root: Path, step: Contaminated, executor: Any = None) -> Artifact:
    store = open_store(str(root))
    run([step], store, executor or InlineExecutor())
    return open_artifact(store, step)


def overlaps(artifact: Artifact) -> list[dict[str, Any]]:
    (entry,) = artifact.files(OVERLAPS)
    rows: list[dict[str, Any]] = pq.read_table(artifact.local(entry)).to_pylist()
    return rows


def ids(store: Store, corpus: Literal) -> dict[str, str]:
    """The id of every text of a corpus."""
    documents: Documents = open_artifact(store, corpus)
    return {document.text: document.id for shard in documents.shards for document in documents.read(shard)}


def test_exactly_the_planted_examples_are_dirty_and_their_documents_are_named(tmp_path: Path) -> None:
    whole = f"{FILLED} {LONG[1]['query'].upper()} a bat, a dog! {FILLED}"
    part = f"{FILLED} … sleeps in winter under the old wooden bridge of our town? A bat — a dog."
    poem = f"他说：{CHINESE['query']}"
    corpus = literal([FILLED, whole, part, poem, "What runs? the fox a stone"], shards=2)
    artifact = looked(tmp_path / "root", Contaminated(tasks=(task(tmp_path),), taught=(Corpus(corpus, NOTHING),)))
    rows, places = overlaps(artifact), ids(artifact.store, corpus)
    assert [row["number"] for row in rows] == list(range(len(RECORDS)))
    assert [row["share"] is None for row in rows] == [False] * 5 + [True]
    assert (rows[1]["share"], rows[1]["document"]) == (1.0, places[whole])
    assert rows[4]["document"] == places[poem]
    for number in (0, 2, 3):
        assert 0 < rows[number]["share"] < 1
        assert rows[number]["document"] in (places[whole], places[part])


def test_an_example_of_which_no_thirteen_words_in_a_row_are_there_is_clean(tmp_path: Path) -> None:
    words = str(LONG[0]["query"]).split()
    corpus = literal([" ".join(words[:12]), " ".join(words[1:13][::-1]), FILLED])
    artifact = looked(tmp_path / "root", Contaminated(tasks=(task(tmp_path),), taught=(Corpus(corpus, NOTHING),)))
    assert list(read_groups(artifact, "long")) == ["clean"] * 5 + ["too_short"]
    assert artifact.facts["tasks"] == {"long": {"examples": 6, "dirty": 0, "too_short": 1}}
    assert artifact.facts["texts"] == 3


def test_documents_that_were_held_out_or_of_another_source_contaminate_nothing(tmp_path: Path) -> None:
    corpus = literal([str(record["query"]) for record in LONG])
    for own, groups in (
        (Corpus(corpus, NOTHING, source="here"), {"dirty"}),
        (Corpus(corpus, NOTHING, source="elsewhere"), {"clean"}),
        (Corpus(corpus, Split(fraction=1)), {"clean"}),
    ):
        artifact = looked(tmp_path / "root", Contaminated(tasks=(task(tmp_path, LONG),), taught=(own,)))
        assert set(read_groups(artifact, "long")) == groups


@settings(max_examples=12, deadline=None)
@given(planted=st.sets(st.integers(0, 19)), shards=st.integers(1, 3))
def test_whichever_examples_are_planted_are_found_in_any_number_of_shards_and_any_order(
    planted: set[int], shards: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("planted")
    records = [{"query": " ".join(f"w{number}x{place}" for place in range(14)), "choices": ["a", "b"], "gold": 0} for number in range(20)]
    corpus = literal([FILLED, *(f"{FILLED} {records[number]['query']} {FILLED}" for number in sorted(planted))], shards)
    step = Contaminated(tasks=(task(folder, records), task(folder, records[::-1], "turned")), taught=(Corpus(corpus, NOTHING),))
    artifact = looked(folder / "root", step)
    dirty = [number for number, group in enumerate(read_groups(artifact, "long")) if group == "dirty"]
    assert dirty == sorted(planted)
    assert list(read_groups(artifact, "turned")) == list(read_groups(artifact, "long"))[::-1]
    again = looked(folder / "again", step, Backwards())
    assert again.manifest.files == artifact.manifest.files


def test_of_a_corpus_that_grew_only_what_is_new_is_looked_through(tmp_path: Path) -> None:
    first = literal([FILLED, str(LONG[0]["query"])])
    grown = Literal(shards=(*first.shards, (("here", str(LONG[1]["query"])),)))
    steps = [Contaminated(tasks=(task(tmp_path, LONG),), taught=(Corpus(corpus, NOTHING),)) for corpus in (first, grown)]
    before, after = (looked(tmp_path / "root", step) for step in steps)
    assert [entry.path.startswith("../") for entry in after.files(PARTS)] == [True, False]
    assert [artifact.facts["tasks"]["long"]["dirty"] for artifact in (before, after)] == [1, 2]


def test_the_metrics_of_clean_and_dirty_examples_are_those_of_their_answers(trained: Trained, tmp_path: Path) -> None:
    asked = task(tmp_path)
    corpus = literal([*TEXTS[:9], *(f"{record['query']} {' '.join(record['choices'])}" for record in LONG[:2])])
    evaluation = Evaluate(checkpoint=trained.step, tasks=(asked,))
    contamination = Contaminated(tasks=(asked,), taught=(Corpus(corpus, NOTHING),))
    step = CleanScores(evaluation=evaluation, contamination=contamination)
    run([step], trained.store, InlineExecutor())
    facts = open_artifact(trained.store, step).facts["contamination"]["long"]
    kept = list(read_answers(open_artifact(trained.store, evaluation), "long"))
    groups = list(read_groups(open_artifact(trained.store, contamination), "long"))
    for group in ("clean", "dirty", "too_short"):
        own = [each.scores["accuracy"] for each, name in zip(kept, groups, strict=True) if name == group]
        assert facts[group]["n"] == len(own) > 0
        assert facts[group]["accuracy"] == pytest.approx(sum(own) / len(own))
        assert facts[group]["accuracy_low"] <= facts[group]["accuracy"] <= facts[group]["accuracy_high"]
    assert sum(facts[group]["n"] for group in facts) == len(RECORDS)


def test_a_group_without_examples_has_no_metrics(trained: Trained, tmp_path: Path) -> None:
    asked = task(tmp_path, QUESTIONS[:1], "brief")
    contamination = Contaminated(tasks=(asked,), taught=(Corpus(literal([FILLED]), NOTHING),))
    step = CleanScores(evaluation=Evaluate(checkpoint=trained.step, tasks=(asked,)), contamination=contamination)
    run([step], trained.store, InlineExecutor())
    facts = open_artifact(trained.store, step).facts["contamination"]["brief"]
    assert (facts["clean"], facts["dirty"], facts["too_short"]["n"]) == ({"n": 0}, {"n": 0}, 1)


def test_wrong_requests_are_refused_with_what_to_do(trained: Trained, tmp_path: Path) -> None:
    corpus, asked = Corpus(literal([FILLED]), NOTHING), task(tmp_path)
    for fields, words in (
        ({"tasks": ()}, "tasks is empty"),
        ({"taught": ()}, "taught is empty"),
        ({"shortest": 14}, "shortest is 14 and length 13"),
    ):
        with pytest.raises(RequestError, match=words):
            Contaminated(**{"tasks": (asked,), "taught": (corpus,), **fields})
    with pytest.raises(RequestError, match="contamination has the task long, which evaluation does not ask"):
        CleanScores(
            evaluation=Evaluate(checkpoint=trained.step, tasks=(task(tmp_path, LONG, "other"),)),
            contamination=Contaminated(tasks=(asked,), taught=(corpus,)),
        )
