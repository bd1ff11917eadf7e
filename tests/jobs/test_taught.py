"""What a checkpoint was taught is found by lineage, or refused where it can no longer be told."""

from pathlib import Path
from typing import Any

import pytest

from jobs.history.taught import taught
from pipeline.documents import Documents
from pipeline.errors import RequestError
from pipeline.evaluate.taught import Corpus, Lessons
from pipeline.finetune.examples import Examples
from pipeline.storage import Store, open_store
from pipeline.tokens.split import Split
from pipeline.workflow.artifact import FileEntry, Manifest, manifest_path
from pipeline.workflow.step import Reference

SPLIT = {"class": "Split", "fraction": 0.1, "salt": "s"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


def built(store: Store, step: str, name: str, recipe: dict[str, Any] | None = None, **inputs: Manifest) -> Manifest:
    """The manifest of an artifact, left in the root."""
    sources = {path: {"address": needed.address, "content": needed.content} for path, needed in inputs.items()}
    manifest = Manifest(step, name, recipe or {}, sources, (FileEntry("data/0", 1, f"sha256:{name}"),), {})
    store.put(manifest_path(manifest.address), manifest.to_json())
    return manifest


def tokens(store: Store, name: str) -> Manifest:
    return built(store, "tokenize", name, {"split": SPLIT}, documents=built(store, "clean", name))


def member(source: str | None = None) -> dict[str, Any]:
    return {"weight": 1, "source": source}


def corpus(name: str, source: str | None = None) -> Corpus:
    return Corpus(Reference(of=f"clean/{name}", opens=Documents), Split(fraction=0.1, salt="s"), source)


def pretrained(store: Store) -> Manifest:
    """A model of two phases: two sources of one corpus, and then one of them again and another corpus."""
    one, two = tokens(store, "one"), tokens(store, "two")
    recipe = {"mixture": [member("a"), member("b")], "then": [{"at": 5, "mixture": [member("a"), member()]}]}
    inputs = {"mixture[0].tokens": one, "mixture[1].tokens": one, "then[0].mixture[0].tokens": one, "then[0].mixture[1].tokens": two}
    return built(store, "pretrain", "base", recipe, **inputs)


def finetuned(store: Store, name: str, below: Manifest) -> Manifest:
    windows = built(store, "encode-examples", name, {"held_out": 0.25}, examples=built(store, "read-examples", name), checkpoint=below)
    return built(store, "finetune", name, {}, checkpoint=below, windows=windows)


def test_the_corpora_of_all_phases_are_found_each_once_with_what_was_held_out(store: Store) -> None:
    assert taught(pretrained(store), store) == (corpus("one", "a"), corpus("one", "b"), corpus("two"))


def test_a_fine_tuned_model_has_all_that_its_ancestors_have_and_its_own_examples(store: Store) -> None:
    base = pretrained(store)
    first = finetuned(store, "first", base)
    second = finetuned(store, "second", first)
    lessons = [Lessons(Reference(of=f"read-examples/{name}", opens=Examples), 0.25) for name in ("first", "second")]
    assert taught(second, store) == (*taught(base, store), *lessons)


def test_what_is_gone_or_was_built_again_is_refused(store: Store) -> None:
    base = pretrained(store)
    other = Manifest("clean", "one", {}, {}, (FileEntry("data/0", 1, "sha256:other"),), {})
    store.put(manifest_path("clean/one"), other.to_json())
    with pytest.raises(RequestError, match="clean/one, which tokenize/one was made from, was built again since"):
        taught(base, store)
    store.delete(manifest_path("clean/one"))
    with pytest.raises(RequestError, match="clean/one, which tokenize/one was made from, is no longer there"):
        taught(base, store)


def test_of_a_model_from_elsewhere_nothing_is_known_nor_of_what_was_made_of_it(store: Store) -> None:
    foreign = built(store, "foreign-checkpoint", "theirs", {"digest": "…"})
    for model in (foreign, finetuned(store, "ours", foreign)):
        with pytest.raises(RequestError, match="what foreign-checkpoint/theirs was trained on is not in this root"):
            taught(model, store)
