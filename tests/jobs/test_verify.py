"""The record of a run's batches, compared with what the manifests give: it holds, or it is said from which step on it does not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow as pa
import pytest

from jobs.history.exposure import order_of
from jobs.history.replay import Replayed, replay
from pipeline.errors import Damaged, RequestError, RunError
from pipeline.storage import Store, checksum_of, open_store
from pipeline.tokens.shards import TRAIN, VALIDATION
from pipeline.train.checkpoint import METRICS, Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.artifact import Manifest, manifest_path, read_manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.jobs.running import job
from tests.train.test_phases import FIRST, SECOND, STEPS, phased
from tests.train.tiny import pretrain

RUNS = (pretrain(STEPS), phased(9), phased(9, 13))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one phase, of two and of three."""
    folder = tmp_path_factory.mktemp("verify") / "root"
    run(RUNS, open_store(str(folder)), InlineExecutor())
    return folder


@pytest.fixture
def store(root: Path, tmp_path: Path) -> Store:
    """A root with these runs, to be tampered with."""
    return open_store(copytree(root, str(tmp_path / "root")))


def there(store: Store, address: str) -> Manifest:
    manifest = read_manifest(store, address)
    assert manifest is not None
    return manifest


def write(store: Store, manifest: Manifest) -> Manifest:
    """Put a manifest in the place of the one that is there."""
    Path(store.url, manifest_path(manifest.address)).write_bytes(manifest.to_json())
    return manifest


def change(store: Store, manifest: Manifest, kind: str, edit: Callable[[Path], bytes], number: int = 0) -> Manifest:
    """Put other bytes in the place of a file, and say in the manifest that they are the right ones."""
    entry = [entry for entry in manifest.files if entry.kind == kind][number]
    data, path = edit(Path(store.url, entry.place(manifest.address))), f"{kind}/other"
    Path(store.url, manifest.address, path).write_bytes(data)
    changed = replace(entry, path=path, checksum=checksum_of(data), bytes=len(data))
    return write(store, replace(manifest, files=tuple(changed if each == entry else each for each in manifest.files)))


def other_tokens(place: Path, row: int = 0) -> bytes:
    """A token shard in which one document has other tokens."""
    table = pa.ipc.open_file(place).read_all()
    tokens = table.column("tokens").to_pylist()
    tokens[row] = [token ^ 1 for token in tokens[row]]
    table = table.set_column(1, table.schema.field("tokens"), pa.chunked_array([pa.array(tokens, table.schema.field("tokens").type)]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def other_chain(step: int) -> Callable[[Path], bytes]:
    def edit(place: Path) -> bytes:
        rows = [json.loads(line) for line in place.read_text().splitlines()]
        rows[step]["chain"] = "0" * 32
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    return edit


@pytest.mark.parametrize("step", RUNS, ids=["one phase", "two", "three"])
def test_what_was_trained_here_holds_for_all_steps(store: Store, step: Pretrain) -> None:
    manifest = there(store, step.address)
    assert replay(store, manifest) == Replayed(manifest.address, STEPS, manifest.facts["batches"]["chain"], ())


def test_a_phase_leaves_the_chain_as_it_was_up_to_its_first_step(store: Store) -> None:
    without, within, _ = (Checkpoint(store, there(store, step.address)).metrics() for step in RUNS)
    assert [row["chain"] for row in without][:9] == [row["chain"] for row in within][:9]
    assert not {row["chain"] for row in without[9:]} & {row["chain"] for row in within[9:]}


@pytest.mark.parametrize("step", [0, 7, STEPS - 1])
def test_a_record_that_was_changed_breaks_at_its_step(store: Store, step: int) -> None:
    manifest = change(store, there(store, pretrain(STEPS).address), METRICS, other_chain(step))
    with pytest.raises(RunError, match=rf"the batch of step {step} is another one \(of 0 to 19\); its token shards are the same"):
        replay(store, manifest)


@pytest.mark.parametrize(("step", "corpus", "number"), [(RUNS[0], FIRST, 0), (RUNS[0], FIRST, 1), (RUNS[1], SECOND, 2)])
def test_a_document_that_was_changed_breaks_at_the_first_step_that_saw_it(store: Store, step: Pretrain, corpus: Any, number: int) -> None:
    """Also one of a later phase, which the first phase has not seen."""
    manifest = there(store, step.address)
    order, tokens = order_of(store, manifest), there(store, corpus.address)
    shard = [entry for entry in tokens.files if entry.kind == TRAIN][number]
    documents = pa.ipc.open_file(Path(store.url, shard.place(corpus.address))).read_all().column("id").to_pylist()
    row, first = next((row, seen[0]) for row, document in enumerate(documents) if (seen := order.steps_of(document, STEPS)))
    change(store, tokens, TRAIN, lambda place: other_tokens(place, row), number)
    with pytest.raises(RunError, match=rf"batch of step {first} is .*; {corpus.address} was built again since, with other bytes"):
        replay(store, manifest)


def test_other_held_out_documents_are_told_of_and_break_nothing(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    change(store, there(store, FIRST.address), VALIDATION, other_tokens)
    assert replay(store, manifest).other == (FIRST.address,)


def test_another_seed_breaks_at_the_first_step(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    with pytest.raises(RunError, match="was not trained on what the manifests give now: the batch of step 0 is another one"):
        replay(store, replace(manifest, recipe=manifest.recipe | {"seed": 1}))


def test_a_manifest_that_names_another_chain_than_its_metrics_is_told_of(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    with pytest.raises(RunError, match="names another chain than its metrics do"):
        replay(store, replace(manifest, facts={**manifest.facts, "batches": {"steps": STEPS, "chain": "0" * 32}}))


def test_token_shards_that_fill_no_window_any_more_are_told_of(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    tokens = there(store, FIRST.address)
    write(store, replace(tokens, facts={**tokens.facts, "documents": {TRAIN: 1}, "tokens": {TRAIN: 1}}))
    with pytest.raises(RunError, match=r"cannot be drawn once more: .* too few for one window"):
        replay(store, manifest)


def test_damaged_token_shards_are_told_of(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    shard = next(entry for entry in there(store, FIRST.address).files if entry.kind == TRAIN)
    place = Path(store.url, shard.place(FIRST.address))
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.unlink()
    place.write_bytes(data)
    with pytest.raises(Damaged):
        replay(store, manifest)


def test_a_run_without_a_record_is_told_so(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    facts = {name: fact for name, fact in manifest.facts.items() if name != "batches"}
    with pytest.raises(RequestError, match=r"kept no record of its batches, .* there is nothing to compare them with"):
        replay(store, replace(manifest, facts=facts))


def test_the_command_says_that_it_holds_or_ends_with_the_step_at_which_it_breaks(store: Store) -> None:
    manifest = there(store, pretrain(STEPS).address)
    done = job("trace", "--root", store.url, "--verify", "--checkpoint", manifest.address)
    assert (done.code, done.stdout) == (
        0,
        f"{manifest.address} was trained on what the manifests give, in all 20 steps: {manifest.facts['batches']['chain']}\n",
    )
    change(store, manifest, METRICS, other_chain(7))
    broken = job("trace", "--root", store.url, "--verify", "--checkpoint", manifest.address)
    assert (broken.code, broken.stdout) == (1, "")
    assert "up to step 6 its batches are the same, but the batch of step 7 is another one" in broken.error
    assert "use one of --step, --document, --artifact and --verify" in job("trace", "--verify", "--step", "1").error
