"""Training that goes on with a later state of its corpus: as a person asks for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.command import Invocation, Options
from jobs.estimating import Planning
from jobs.forget import ForgetRecipe, forget
from jobs.history.exposure import order_of
from jobs.history.prospect import as_it_grows
from jobs.history.states import State, folder_of, latest
from jobs.pretrain import pretrain
from jobs.recipe import Compute, PretrainRecipe
from jobs.trace import TraceRecipe, trace
from pipeline.errors import RequestError
from pipeline.inference.generation import Sampling
from pipeline.models.llama import Llama
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TRAIN, TokenShards
from pipeline.train.plain import PlainEngine
from pipeline.workflow.artifact import manifests, read_manifest
from tests.jobs.running import job
from tests.jobs.test_refresh import PAGES, built, write

STEPS = 24
NEW = {"new.jsonl": ["something else altogether " * 12], "newer.jsonl": ["and more of that kind " * 12]}
PLAIN_STEP = PlainEngine.step


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.sources.listing.MOST_UNIT_BYTES", 1)  # one file a unit
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder() -> Path:
    """A folder with the same name everywhere, since the names of documents decide which ones are held out."""
    folder = Path("data")
    write(folder, {f"{page}.jsonl": [text] for page, text in enumerate(PAGES)})
    return folder


def training(folder: Path, **fields: Any) -> PretrainRecipe:
    small = {"context": 16, "batch": 2, "token_budget": STEPS * 32, "sampling": Sampling(max_new_tokens=2), "validation": 0.3}
    corpus = {"sources": (str(folder),), "similarity": 0.6, "vocab_size": 300}
    model, compute = Llama(dim=8, depth=1, heads=1), Compute(engine="plain", save_every=4)
    return PretrainRecipe(**{**small, **corpus, "model": model, "compute": compute, **fields})


def asked(store: Store, wanted: PretrainRecipe) -> dict[str, Any]:
    return dict(pretrain(Invocation(wanted, Options(root=store.url, cluster="none"), Planning())))


def grow(folder: Path, name: str | None, *stores: Store) -> None:
    """A new file, and a refresh in every root."""
    write(folder, {name: NEW[name]} if name else {})
    for store in stores:
        built(as_it_grows(training(folder), store), store)


def updates(monkeypatch: pytest.MonkeyPatch, most: int = 10**6) -> list[int]:
    """Counts the updates from here on; so many of them are made, and then a signal comes."""
    taken: list[int] = []

    def counted(engine: PlainEngine, learning_rate: float) -> float:
        if len(taken) == most:
            raise KeyboardInterrupt
        taken.append(1)
        return PLAIN_STEP(engine, learning_rate)

    monkeypatch.setattr(PlainEngine, "step", counted)
    return taken


Broken = Callable[[PretrainRecipe, int], None]


@pytest.fixture
def broken(store: Store, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Train, and be interrupted after some updates."""

    def interrupted(wanted: PretrainRecipe, after: int) -> None:
        updates(monkeypatch, after)
        with pytest.raises(KeyboardInterrupt):
            asked(store, wanted)

    return interrupted


def state_of(store: Store, folder: Path, number: int) -> str:
    """The token shards of a state."""
    path = f"{folder_of(training(folder))}/{number:06d}.json"
    return State.from_json(store.get(path), path).artifacts["tokenize"]


def documents_of(store: Store, address: str) -> set[str]:
    manifest = read_manifest(store, address)
    assert manifest is not None
    return {row for batch in TokenShards(store, manifest).batches(TRAIN) for row in batch.column("id").to_pylist()}


def test_an_interrupted_run_goes_on_with_the_refreshed_corpus_as_if_it_had_been_asked_for_from_the_start(
    store: Store, folder: Path, broken: Broken, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = open_store(str(tmp_path / "scratch"))
    grow(folder, None, scratch)
    broken(training(folder), 9)
    grow(folder, "new.jsonl", store, scratch)
    broken(training(folder, states=(1, 2), at=(9,)), 6)  # goes on from 8
    grow(folder, "newer.jsonl", store, scratch)
    taken = updates(monkeypatch)
    wanted = training(folder, states=(1, 2, 3), at=(9, 13))
    found = asked(store, wanted)
    assert len(taken) == STEPS - 12
    expected = asked(scratch, wanted)
    assert len(taken) == STEPS - 12 + STEPS
    weights, others = (Path(result["checkpoint"], "model.safetensors").read_bytes() for result in (found, expected))
    assert weights == others
    assert (found["loss"], found["validation"]) == (expected["loss"], expected["validation"])


def test_the_same_command_means_the_same_run_after_another_refresh(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(folder, None, store)
    grow(folder, "new.jsonl", store)
    done = asked(store, training(folder, states=(1, 2), at=(9,)))
    grow(folder, "newer.jsonl", store)
    taken = updates(monkeypatch)
    assert asked(store, training(folder, states=(1, 2), at=(9,)))["checkpoint"] == done["checkpoint"]
    assert taken == []
    assert state_of(store, folder, 3) not in done["skipped"]


def test_a_state_alone_is_the_run_that_was_asked_for_without_one(store: Store, folder: Path) -> None:
    first = asked(store, training(folder))
    grow(folder, "new.jsonl", store)
    assert asked(store, training(folder, states=(1,)))["checkpoint"] == first["checkpoint"]


def test_what_a_continued_run_saw_when_is_traced_and_forgotten_over_its_boundary(store: Store, folder: Path) -> None:
    grow(folder, None, store)
    grow(folder, "new.jsonl", store)
    asked(store, training(folder, states=(1, 2), at=(9,)))
    (manifest,) = manifests(store, "pretrain")
    order = order_of(store, manifest)
    steps = [order.documents_in(step) for step in range(STEPS)]
    first, second = (documents_of(store, state_of(store, folder, number)) for number in (1, 2))
    assert first < second
    assert {document for documents in steps[:9] for document in documents} <= first
    (new,) = second - first
    expected = [step for step in range(STEPS) if new in steps[step]]
    assert expected[0] >= 9
    options = Options(root=store.url, cluster="none")
    assert trace(Invocation(TraceRecipe(document=new), options))["checkpoints"] == {manifest.address: expected}
    assert trace(Invocation(TraceRecipe(step=expected[0]), options))["documents"] == steps[expected[0]]
    assert forget(Invocation(ForgetRecipe(ids=(new,)), options))["seen_by"] == {manifest.address: {new: expected}}


def test_a_state_whose_documents_were_forgotten_is_neither_trained_on_nor_made_again(store: Store, folder: Path) -> None:
    grow(folder, None, store)
    grow(folder, "new.jsonl", store)
    (gone,) = documents_of(store, state_of(store, folder, 2)) - documents_of(store, state_of(store, folder, 1))
    forget(Invocation(ForgetRecipe(ids=(gone,)), Options(root=store.url, cluster="none")))
    with pytest.raises(RequestError, match=r"state 2 of the corpus, tokenize/.*, is no longer there, .* name only states from then on"):
        asked(store, training(folder, states=(1, 2), at=(9,)))
    asked(store, training(folder, states=(1, 3), at=(9,)))


def test_an_interrupted_run_leaves_a_state_to_go_on_from(store: Store, folder: Path, broken: Broken) -> None:
    broken(training(folder), 2)
    state = latest(store, folder_of(training(folder)))
    assert state is not None
    assert (state.number, state.job) == (1, "pretrain")


def test_each_source_keeps_its_weight_over_a_boundary(store: Store, folder: Path) -> None:
    write(Path("other"), {"0.jsonl": [f"{number} sources of another kind " * 20 for number in range(4)]})
    both = ("data", "other")
    wanted = training(folder, sources=both, weights=(3, 1))
    for change in ({}, {"new.jsonl": NEW["new.jsonl"]}):
        write(folder, change)
        built(as_it_grows(replace(wanted), store), store)
    asked(store, replace(wanted, states=(1, 2), at=(9,)))
    (manifest,) = manifests(store, "pretrain")
    mixtures = [manifest.recipe["mixture"], manifest.recipe["then"][0]["mixture"]]
    assert [[(member["source"], member["weight"]) for member in mixture] for mixture in mixtures] == [[(both[0], 3), (both[1], 1)]] * 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"states": (1, 2)}, "--states has 2 values, and --at has 0: give a step for each state but the first"),
        ({"at": (3,)}, "--states has 0 values, and --at has 1"),
        ({"states": (1, 3), "at": (9,)}, "--states names state 3, which .* does not have .*: use 1 to 2"),
        ({"states": (0, 2), "at": (9,)}, "--states names state 0, which"),
        ({"states": (1, 2), "at": (9,), "vocab_size": 301}, r"does not have .*: python jobs/corpus\.py makes the first"),
        ({"states": (1, 2), "at": (STEPS,)}, rf"then\[0\]\.at is {STEPS}, in a run of {STEPS} steps"),
        ({"states": (1, 2), "at": (0,)}, rf"then\[0\]\.at is 0, .*use a step from 1 to {STEPS - 1}"),
        ({"states": (1, 2, 2), "at": (9, 9)}, rf"then\[1\]\.at is 9, .*use a step from 10 to {STEPS - 1}"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(store: Store, folder: Path, fields: dict[str, Any], words: str) -> None:
    grow(folder, None, store)
    grow(folder, "new.jsonl", store)
    before = {entry.path for entry in store.list("")}
    with pytest.raises(RequestError, match=words):
        asked(store, training(folder, **fields))
    assert {entry.path for entry in store.list("")} == before


def test_the_commands_work_together(folder: Path) -> None:
    root = ["--root", "root", "--cluster", "none", "--json"]
    corpus = ["tiny", "--sources", str(folder), "--validation", "0.3", "--vocab-size", "300", *root]
    job("corpus", *corpus)
    write(folder, NEW)
    assert job("refresh", *corpus).result["state"] == 2
    small = ["--context", "16", "--token-budget", "2048", "--compute.engine", "plain"]
    result = job("pretrain", *corpus, *small, "--states", "1", "2", "--at", "7").result
    assert result["steps"] == 16
    assert len(job("trace", "--step", "7", *root).result["documents"]) > 0
    refused = job("pretrain", *corpus, *small, "--states", "1", "2", "--at", "16")
    assert refused.code == 2
    assert "then[0].at is 16" in refused.error
