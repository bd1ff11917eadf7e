"""Embedding as a person does it: a command over text and a checkpoint, again, and over documents that are there already."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.jobs.running import job
from tests.train.tiny import pretrain

ALONE = ("--cluster", "none", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root that holds a checkpoint, and with notes."""
    folder = tmp_path_factory.mktemp("place")
    run([pretrain(steps=3)], open_store(str(folder / "runs")), InlineExecutor())
    (folder / "notes").mkdir()
    for name, text in {"fox": "The fox sang. " * 40, "goat": "The goat looked.", "鱼": "鲤鱼跳过了小河。" * 9}.items():
        (folder / "notes" / f"{name}.txt").write_text(text)
    return folder


def test_text_becomes_vectors_once_and_the_nearest_are_shown(place: Path) -> None:
    first = job("embed", "--sources", "notes", "--like", "The goat looked.", *ALONE, folder=place).result
    assert first["documents"] == {"read": 3, "kept": 3, "dropped": {}}
    assert first["longer"] == 2
    assert first["nearest"][0]["origin"] == "notes/goat.txt#0"
    (file,) = first["files"]
    assert pq.read_table(place / file).column_names == ["id", "origin", "tokens", "windows", "vector"]
    again = job("embed", "--sources", "notes", *ALONE, folder=place).result
    assert (again["built"], again["vectors"]) == ([], first["vectors"])


def test_a_folder_is_a_checkpoint_too_and_documents_may_be_there_already(place: Path) -> None:
    step = pretrain(steps=3)
    folder = open_artifact(open_store(str(place / "runs")), step).folder("model")
    documents = step.mixture[0].tokens.documents.address  # type: ignore[attr-defined]
    options = ("--documents", documents, *ALONE)
    mine, foreign = (job("embed", *options, *more, folder=place).result for more in ((), ("--checkpoint", str(folder))))
    assert mine["documents"]["kept"] == 180
    assert [Path(place, file).read_bytes() for file in mine["files"]] == [Path(place, file).read_bytes() for file in foreign["files"]]


def test_what_was_forgotten_is_not_embedded_again(place: Path) -> None:
    corpus = ("corpus", "--sources", "herd", "--filters", "--vocab-size", "300", "--validation", "0", *ALONE)
    (place / "herd").mkdir()
    for name in ("ox", "ram"):
        (place / "herd" / f"{name}.txt").write_text(f"The {name} has a story of its own, and of no other.")
    assert job(*corpus, "--root", "other", folder=place).result["documents"]["kept"] == 2
    assert job("forget", "--match", "ram", "--by", "a test", "--root", "other", *ALONE, folder=place).result["forgotten"]
    checkpoint = str(open_artifact(open_store(str(place / "runs")), pretrain(steps=3)).folder("model"))
    made = job("embed", "--sources", "herd", "--checkpoint", checkpoint, "--root", "other", *ALONE, folder=place).result
    assert made["documents"]["kept"] == 1


def test_what_is_forgotten_leaves_no_vector_behind(place: Path) -> None:
    corpus = ("corpus", "--sources", "flock", "--filters", "--vocab-size", "300", "--validation", "0", "--root", "third", *ALONE)
    (place / "flock").mkdir()
    for name in ("duck", "swan"):
        (place / "flock" / f"{name}.txt").write_text(f"The {name} has a story of its own, and of no other.")
    documents = job(*corpus, folder=place).result["artifacts"]["deduplicate"]
    checkpoint = str(open_artifact(open_store(str(place / "runs")), pretrain(steps=3)).folder("model"))
    options = ("--documents", documents, "--checkpoint", checkpoint, "--hidden", "--root", "third", *ALONE)
    (file,) = job("embed", *options, folder=place).result["files"]
    assert any("swan" in origin for origin in pq.read_table(place / file)["origin"].to_pylist())
    assert job("forget", "--match", "swan", "--by", "a test", "--root", "third", *ALONE, folder=place).result["forgotten"]
    left = [
        row for path in (place / "third").glob("embed/*/vectors/*") for row in pq.read_table(path, columns=["origin"]).column(0).to_pylist()
    ]
    assert not [origin for origin in left if "swan" in origin]


WRONG = {
    "nothing": ([], ["--sources", "--documents"]),
    "documents that are not there": (["--documents", "clean/0000"], ["clean/0000"]),
    "what is no documents": (["--documents", "nonsense"], ["nonsense"]),
    "a layer that is not there": (["--sources", "notes", "--pooling.layer", "9"], ["layer is 9", "-3 to 2"]),
    "a pooling that is none": (["--sources", "notes", "--pooling.pool", "median"], ["median"]),
    "a folder without weights": (["--sources", "notes", "--checkpoint", "notes"], ["notes", "config.json"]),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_told_before_any_document_is_read(wrong: str, place: Path) -> None:
    arguments, words = WRONG[wrong]
    before = sorted(place.rglob("*"))
    done = job("embed", *arguments, *ALONE, folder=place)
    assert (done.code, done.stdout) == (2, "")
    assert all(word in done.error for word in words), done.error
    assert sorted(place.rglob("*")) == before
