"""Forgetting: documents leave every corpus for good, what they had displaced is decided on again, and it is on record who saw them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.command import Invocation, Options
from jobs.forget import ForgetRecipe, forget
from jobs.history.erasure import HOLDING
from jobs.history.exposure import order_of
from jobs.history.prospect import as_it_grows, as_it_was
from jobs.history.states import corpora
from jobs.history.tombstones import read_tombstones
from jobs.recipe import Compute, CorpusRecipe, PretrainRecipe
from pipeline.errors import RequestError, RunError
from pipeline.models.llama import Llama
from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import manifests, read_manifest
from tests.jobs.running import job
from tests.jobs.test_refresh import PAGES, built, documents, recipe, write

SECRET = "a person's telephone number is 555 0100 and " * 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "data",
        {
            "a.jsonl": [PAGES[0], SECRET, PAGES[1]],
            "b.jsonl": [PAGES[2], SECRET],  # a copy
            "c.jsonl": ["nothing to hide " * 20],
        },
    )
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def one_file_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.listing.MOST_UNIT_BYTES", 1)
    monkeypatch.setenv("WANDB_MODE", "disabled")


def asked(store: Store, plan: bool = False, **which: Any) -> dict[str, Any]:
    """Forget, in this process."""
    return dict(forget(Invocation(ForgetRecipe(**which), Options(root=store.url, cluster="none", plan=plan))))


def texts(store: Store, corpus: CorpusRecipe) -> dict[str, str]:
    """Origin → text of what the corpus keeps."""
    kept = documents(as_it_was(corpus, store).recipe.unique, store)
    return {document.origin.rsplit("/", 1)[1]: document.text for document in kept}


def id_at(store: Store, corpus: CorpusRecipe, origin: str) -> str:
    kept = documents(as_it_was(corpus, store).recipe.unique, store)
    return next(document.id for document in kept if document.origin.endswith(origin))


def ids_in(store: Store) -> Iterator[str]:
    """The ids in every file of a root that holds a row a document."""
    for entry in store.list(""):
        if entry.path.split("/")[-2] in HOLDING:
            yield from pa.ipc.open_file(Path(store.url, entry.path)).read_all()["id"].to_pylist()


def test_a_forgotten_document_is_gone_and_its_copy_is_decided_on_again(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    assert "b.jsonl#2" not in texts(store, recipe(folder))
    gone = id_at(store, recipe(folder), "a.jsonl#2")
    result = asked(store, ids=(gone,), by="the person", reason="asked for it")
    assert result["forgotten"] == [gone]
    kept = texts(store, recipe(folder))
    assert "a.jsonl#2" not in kept
    assert kept["b.jsonl#2"] == SECRET
    assert gone not in set(ids_in(store))
    (record,) = read_tombstones(store).records
    assert (record.by, record.reason, record.how, len(record.spared)) == ("the person", "asked for it", "--ids", 1)
    ledger = as_it_was(recipe(folder), store).recipe.ingests[0]
    dropped = read_manifest(store, ledger.address)
    assert dropped is not None
    assert dropped.facts["dropped"] == {"forgotten": 1}


def test_only_shards_that_held_it_are_written_again(folder: Path, store: Store) -> None:
    first = as_it_grows(recipe(folder), store)
    built(first, store)
    before = read_manifest(store, first.recipe.tokens.address)
    asked(store, ids=(id_at(store, recipe(folder), "c.jsonl#1"),))
    after = read_manifest(store, as_it_was(recipe(folder), store).recipe.tokens.address)
    assert before is not None
    assert after is not None
    home = before.fingerprint
    assert [file.path for file in after.files] == [f"../{home}/{file.path}" for file in before.files[:2]]


def test_all_that_match_an_expression_are_forgotten_in_every_corpus_of_the_root(folder: Path, store: Store) -> None:
    corpora_here = (recipe(folder), recipe(folder, similarity=None))
    for corpus in corpora_here:
        built(as_it_grows(corpus, store), store)
    assert len(asked(store, match=r"555\s0100")["forgotten"]) == 2
    assert len(corpora(store)) == 2
    for corpus in corpora_here:
        assert set(texts(store, corpus)) == {"a.jsonl#1", "a.jsonl#3", "b.jsonl#1", "c.jsonl#1"}


def test_it_does_not_come_back_under_another_name_or_with_a_corpus_from_scratch(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    asked(store, match="555 0100")
    (folder / "a.jsonl").rename(folder / "renamed.jsonl")
    write(folder, {"spaced.jsonl": [f" {SECRET.replace(' ', '  ')}\n"]})
    refreshed = as_it_grows(recipe(folder), store)
    built(refreshed, store)
    assert not any("555" in text for text in texts(store, recipe(folder)).values())
    other = recipe(folder, similarity=0.7)
    built(as_it_was(other, store), store)
    assert SECRET not in texts(store, other).values()


def test_the_end_is_that_of_a_build_from_scratch(folder: Path, store: Store, tmp_path: Path) -> None:
    from pipeline.workflow.executor import InlineExecutor
    from pipeline.workflow.run import run

    built(as_it_grows(recipe(folder), store), store)
    asked(store, ids=(id_at(store, recipe(folder), "a.jsonl#2"),))
    unique = as_it_was(recipe(folder), store).recipe.unique
    scratch = open_store(str(tmp_path / "scratch"))
    expected = run([unique], scratch, InlineExecutor()).manifests[unique.address]
    found = read_manifest(store, unique.address)
    assert found is not None
    assert found.content == expected.content


def test_checkpoints_that_saw_it_are_named_with_the_steps(folder: Path, store: Store) -> None:
    from pipeline.workflow.executor import InlineExecutor
    from pipeline.workflow.run import run

    training = PretrainRecipe(
        sources=(str(folder),),
        vocab_size=300,
        validation=0.0,
        model=Llama(dim=8, depth=1, heads=1),
        context=16,
        batch=2,
        token_budget=16 * 2 * 40,
        compute=Compute(engine="plain"),
    )
    prospect = as_it_was(training, store)
    run([prospect.recipe.checkpoint], store, InlineExecutor())
    prospect.record(store, "pretrain")
    checkpoint = prospect.recipe.checkpoint.address
    (manifest,) = manifests(store, "pretrain")
    order = order_of(store, manifest)
    gone = id_at(store, training, "a.jsonl#2")
    expected = [step for step in range(40) if gone in order.documents_in(step)]
    assert expected
    assert asked(store, plan=True, ids=(gone,))["seen_by"] == {checkpoint: {gone: expected}}
    assert gone in set(ids_in(store))  # a plan changes nothing
    result = asked(store, ids=(gone,))
    assert result["seen_by"] == {checkpoint: {gone: expected}}
    assert result["remains_in"] == sorted([checkpoint, prospect.recipe.tokenizer_step.address])
    assert read_tombstones(store).records[0].seen_by == {checkpoint: {gone: expected}}
    with pytest.raises(RunError, match="no longer there"):
        order_of(store, manifest)


def test_where_a_corpus_cannot_be_built_anew_it_is_erased_all_the_same_and_said(folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    gone = id_at(store, recipe(folder), "a.jsonl#2")
    folder.rename(folder.with_name("moved"))
    with pytest.raises(RunError, match=r"could not be built without them: tokenize/.*no such file or folder"):
        asked(store, ids=(gone,))
    assert gone not in set(ids_in(store))
    folder.with_name("moved").rename(folder)
    assert asked(store, ids=(gone,))["forgotten"] == []  # it is on record; the corpus is built now
    assert "a.jsonl#2" not in texts(store, recipe(folder))


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({}, "use --ids, --match or --file"),
        ({"ids": ("0" * 32,)}, "no document of .* has the id 0{32}"),
        ({"match": "no such words"}, "no document of .* has a match of 'no such words'"),
        ({"match": "("}, r"--match is '\(', which is no RE2 expression"),
        ({"file": "no/such/file"}, "cannot read ids from 'no/such/file'"),
    ],
)
def test_a_wrong_request_changes_nothing(which: dict[str, Any], message: str, folder: Path, store: Store) -> None:
    built(as_it_grows(recipe(folder), store), store)
    before = {entry.path for entry in store.list("")}
    with pytest.raises(RequestError, match=message):
        asked(store, **which)
    assert {entry.path for entry in store.list("")} == before


def test_the_commands_work_together(folder: Path, tmp_path: Path) -> None:
    common = ["--root", str(tmp_path / "root"), "--cluster", "none", "--json"]
    corpus = ["tiny", "--sources", str(folder), *common]
    first = job("corpus", *corpus).result
    assert first["documents"]["kept"] == 5
    write(folder, {"d.jsonl": ["something new " * 20]})
    second = job("refresh", *corpus).result
    assert second["changes"] == {str(folder): {"new": 1, "gone": 0, "same": 3}}
    assert second["documents"]["read"] == second["documents"]["kept"] + sum(second["documents"]["dropped"].values()) == 7
    ids = tmp_path / "ids.jsonl"
    store_ids = pa.ipc.open_file(next((tmp_path / "root" / "tokenize").glob("*/train/*.arrow"))).read_all()["id"].to_pylist()
    ids.write_text(json.dumps({"id": store_ids[0]}) + "\n")
    gone = job("forget", "--file", str(ids), *common).result
    assert gone["forgotten"] == [store_ids[0]]
    third = job("refresh", *corpus).result
    assert third["built"] == []
    assert third["documents"]["dropped"]["ingest/forgotten"] == 1


def test_what_is_forgotten_stays_away_from_the_examples_of_a_classifier_too(folder: Path, store: Store, tmp_path: Path) -> None:
    good = [f"{PAGES[0]} {number} {SECRET if number == 7 else ''}" for number in range(200)]
    write(tmp_path / "good", {"good.jsonl": good})
    write(tmp_path / "bad", {"bad.jsonl": [f"spam {number} " * 30 for number in range(200)]})
    chosen = recipe(folder, good=(str(tmp_path / "good"),), bad=(str(tmp_path / "bad"),), least_quality=0.0)
    built(as_it_grows(chosen, store), store)
    asked(store, match="555 0100")
    again = as_it_grows(chosen, store)
    built(again, store)
    examples = next(step for path, step in again.recipe.tokens.documents.inputs["documents[0]"].inputs.items() if path == "model")
    texts_of_examples = [document.text for document in documents(examples.inputs["good[0]"], store)]
    assert len(texts_of_examples) == 199
    assert not any(SECRET in text for text in texts_of_examples)


def test_it_is_all_the_same_in_a_bucket(folder: Path, store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    there = open_store(f"{bucket}/root")
    outcomes = []
    for root in (store, there):
        write(folder, {"new.jsonl": None})
        built(as_it_grows(recipe(folder), root), root)
        write(folder, {"new.jsonl": ["more and more " * 9]})
        built(as_it_grows(recipe(folder), root), root)
        gone = id_at(root, recipe(folder), "a.jsonl#2")
        erased = asked(root, ids=(gone,))["erased"]
        assert all(root.size(path) is None for path in erased)
        tokens = read_manifest(root, as_it_was(recipe(folder), root).recipe.tokens.address)
        assert tokens is not None
        outcomes.append((erased, tokens.content, [entry.path for entry in tokens.files], texts(root, recipe(folder))))
    assert outcomes[0] == outcomes[1]
    cached = {path.name for path in (tmp_path / "cache").rglob("*.arrow")}
    assert cached
    assert cached.isdisjoint(path.rsplit("/", 1)[1] for path in erased)
