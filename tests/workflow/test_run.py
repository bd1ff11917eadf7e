"""A run skips what is built, builds the rest unit by unit, and goes on from where a run before it stopped."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Damaged, RequestError, RunError, Unbalanced
from pipeline.storage import LocalStore, Store
from pipeline.workflow.artifact import manifest_path, manifests, read_manifest
from pipeline.workflow.events import Advanced, Built, Event, Failed, Planned, Reported, Skipped, Started
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.plan import Rebuild
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Step
from pipeline.workflow.unit import Unit, UnitTask, open_artifact
from tests.workflow.steps import Numbers, Total, Trained, tree

Build = Callable[[Step[Any]], Any]


@pytest.fixture
def done(tmp_path: Path) -> Callable[[], Counter[str]]:
    """How often each unit was really done, by the journal at tmp_path/done."""
    return lambda: Counter((tmp_path / "done").read_text().split())


def test_a_second_run_builds_nothing(store: Store) -> None:
    step = Total(numbers=Numbers())
    first, second = (run([step], store, InlineExecutor()) for _ in range(2))
    assert (first.built, first.skipped) == ((step.numbers.address, step.address), ())
    assert (second.built, second.skipped) == ((), first.built)
    assert second.manifests == first.manifests


def test_the_same_recipe_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    roots = [LocalStore(str(tmp_path / name)) for name in ("one", "two")]
    for root in roots:
        run([Total(numbers=Numbers())], root, InlineExecutor())
    assert tree(roots[0].url) == tree(roots[1].url)


def test_a_manifest_lists_every_file_with_its_size_checksum_and_rows(store: Store, build: Build) -> None:
    artifact = build(Numbers(count=2))
    for entry, text in zip(artifact.manifest.files, ("0\n", "1\n"), strict=True):
        place = artifact.local(entry)
        assert (place.read_text(), entry.bytes, entry.rows) == (text, 2, 1)
        assert entry.checksum.startswith("sha256:")


def test_a_manifest_names_its_inputs_with_their_content(store: Store, build: Build) -> None:
    step = Total(numbers=Numbers())
    inputs = build(step).manifest.inputs
    assert inputs == {"numbers": {"address": step.numbers.address, "content": open_artifact(store, step.numbers).manifest.content}}


def test_a_manifest_is_plain_json_that_reads_back(store: Store, build: Build) -> None:
    manifest = build(Numbers()).manifest
    fields = json.loads(store.get(manifest_path(manifest.address)))
    assert {"step", "fingerprint", "recipe", "inputs", "files", "facts", "provenance"} <= fields.keys()
    assert read_manifest(store, manifest.address) == manifest


def test_provenance_records_no_arguments_and_no_environment(store: Store, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-key")
    monkeypatch.setattr("sys.argv", ["pretrain.py", "--token", "a-secret-key"])
    build(Numbers())
    assert b"a-secret-key" not in store.get(manifest_path(Numbers().address))


def test_the_manifest_is_written_last(store: Store) -> None:
    order: list[str] = []

    class Recording(LocalStore):
        def put_new(self, path: str, data: Any) -> bool:
            order.append(path)
            return super().put_new(path, data)

    class Here(InlineExecutor):
        def units(self, tasks: Sequence[UnitTask]) -> Any:
            for task in tasks:
                unit = Unit(recording, task.address, task.phase, task.index)
                yield task.index, task.commit(unit, task.work(unit, task.item))

    recording = Recording(store.url)
    run([Numbers()], recording, Here())
    assert order[-1] == manifest_path(Numbers().address)
    assert sum(path.endswith("manifest.json") for path in order) == 1


def test_receipts_and_scratch_files_are_gone_when_a_step_is_done(store: Store, build: Build) -> None:
    build(Total(numbers=Numbers()))
    assert not [entry for entry in store.list("") if "/work/" in entry.path]


def test_after_a_unit_failed_the_rest_is_not_done_again(store: Store, tmp_path: Path, done: Callable[[], Counter[str]]) -> None:
    step = Numbers(count=4, journal=str(tmp_path / "done"))
    with pytest.raises(OSError, match="unit 2 is broken"):
        run([replace(step, broken=(2,))], store, InlineExecutor())
    assert read_manifest(store, step.address) is None
    run([step], store, InlineExecutor())
    assert done() == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_a_resumed_step_has_the_same_manifest_as_an_undisturbed_one(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"):
        run([Numbers(broken=(2,))], store, InlineExecutor())
    resumed = run([Numbers()], store, InlineExecutor()).manifests[Numbers().address]
    undisturbed = run([Numbers()], LocalStore(str(tmp_path / "other")), InlineExecutor()).manifests[Numbers().address]
    assert replace(resumed, provenance={}) == replace(undisturbed, provenance={})


def test_receipts_of_other_code_do_not_count(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Callable[[], Counter[str]]
) -> None:
    step = Numbers(journal=str(tmp_path / "done"))
    with pytest.raises(OSError, match="broken"):
        run([replace(step, broken=(2,))], store, InlineExecutor())
    monkeypatch.setattr("pipeline.workflow.run.code_of", lambda step: {"module": "other digest"})
    run([step], store, InlineExecutor())
    assert done() == {"0": 2, "1": 2, "2": 1}


def test_receipts_from_other_input_bytes_do_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The input is rebuilt to other bytes while the step that reads it is half done."""
    step = Total(numbers=Numbers())
    run([step.numbers], store, InlineExecutor())
    monkeypatch.setattr(Total, "add", _killed)
    with pytest.raises(OSError, match="killed"):
        run([step], store, InlineExecutor())
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(Numbers, "write", _write_tens)
        patch.setattr("pipeline.workflow.run.code_of", lambda step: {"module": "changed"})
        patch.setattr("pipeline.workflow.plan.code_of", lambda step: {"module": "changed"})
        run([step.numbers], store, InlineExecutor(), rebuild=Rebuild.CHANGED)
    run([step], store, InlineExecutor())
    total = open_artifact(store, step)
    assert total.local(total.files("total")[0]).read_text() == "30"


def _killed(self: Any, unit: Unit, item: Any) -> Mapping[str, Any]:
    raise OSError("killed")


def _write_tens(self: Any, unit: Unit, number: int) -> Mapping[str, Any]:
    unit.write("numbers", b"10", ".txt")
    return {"kept": 1}


@dataclass(frozen=True, kw_only=True)
class Keyed(Step[Any]):
    """Counts by integer, which JSON does not know."""

    broken: bool = False

    def run(self, context: Context) -> Mapping[str, Any]:
        (receipt,) = context.map(self.count, [None])
        return {"keys": sorted(type(key).__name__ for key in receipt.facts["counts"])}

    def count(self, unit: Unit, item: None) -> Mapping[str, Any]:
        return {"counts": {1: 2}}


def test_facts_read_the_same_fresh_and_resumed(store: Store, build: Build) -> None:
    assert build(Keyed()).facts == {"keys": ["str"]}


@dataclass(frozen=True, kw_only=True)
class Twice(Step[Any]):
    def run(self, context: Context) -> Mapping[str, Any]:
        return {"counts": [receipt.facts for items in ([1], [2]) for receipt in context.map(self.count, items)]}

    def count(self, unit: Unit, item: int) -> Mapping[str, Any]:
        return {"item": item}


def test_two_phases_of_one_name_are_refused(store: Store) -> None:
    with pytest.raises(RunError, match="maps count twice"):
        run([Twice()], store, InlineExecutor())


@dataclass(frozen=True, kw_only=True)
class Losing(Step[Any]):
    def run(self, context: Context) -> Mapping[str, Any]:
        return {"read": 10, "kept": 7, "dropped": {"short": 2}}


def test_a_step_that_loses_a_document_is_refused(store: Store) -> None:
    with pytest.raises(Unbalanced, match="read 10 documents, but kept 7 and dropped 2"):
        run([Losing()], store, InlineExecutor())
    assert read_manifest(store, Losing().address) is None


def test_a_damaged_file_is_told_and_not_used(store: Store, build: Build) -> None:
    artifact = build(Numbers())
    entry = artifact.files("numbers")[1]
    place = Path(store.url, artifact.address, entry.path)
    place.write_text("7\n")
    with pytest.raises(Damaged, match="numbers/00001"):
        run([Total(numbers=Numbers())], store, InlineExecutor())


def test_a_missing_file_is_damage(store: Store, build: Build) -> None:
    artifact = build(Numbers())
    entry = artifact.files("numbers")[1]
    Path(store.url, artifact.address, entry.path).unlink()
    with pytest.raises(Damaged, match="missing"):
        artifact.local(entry)


def test_the_remedy_for_damage_works(store: Store, build: Build) -> None:
    artifact = build(Numbers())
    entry = artifact.files("numbers")[1]
    Path(store.url, artifact.address, entry.path).write_text("7\n")
    with pytest.raises(Damaged, match="delete it and the manifest of its step, and run the same command again"):
        artifact.local(entry)
    store.delete(manifest_path(artifact.address))
    assert build(Numbers()).local(entry).read_text() == "1\n"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"step": "numbers"}', b'{"files": [{"name": "x"}]}', b"\xff\xfe"])
def test_what_is_no_manifest_is_damage(text: bytes, store: Store) -> None:
    store.put(manifest_path(Numbers().address), text)
    with pytest.raises(Damaged, match=r"is not a manifest .* delete it to build the step again"):
        read_manifest(store, Numbers().address)


def test_only_manifests_tell_what_exists(store: Store, build: Build) -> None:
    with pytest.raises(OSError, match="broken"):
        run([Numbers(broken=(2,))], store, InlineExecutor())
    build(Numbers(offset=1))
    assert [manifest.address for manifest in manifests(store, "numbers")] == [Numbers(offset=1).address]


def test_an_input_that_was_not_built_is_told(store: Store) -> None:
    with pytest.raises(RunError, match="is not built"):
        open_artifact(store, Numbers())


def test_a_folder_keeps_the_names_of_its_files(store: Store, build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights").write_bytes(b"w")

    @dataclass(frozen=True, kw_only=True)
    class Export(Step[Any]):
        def run(self, context: Context) -> Mapping[str, Any]:
            return {"units": len(list(context.map(self.export, [str(folder)])))}

        def export(self, unit: Unit, place: str) -> Mapping[str, Any]:
            unit.write_folder("model", Path(place))
            return {}

    assert tree(str(build(Export()).folder("model"))) == {"config.json": b"{}", "deep/weights": b"w"}


def test_events_tell_the_whole_story(store: Store) -> None:
    events: list[Event] = []
    step = Trained(numbers=Numbers(count=2))
    run([step.numbers], store, InlineExecutor())
    run([step], store, InlineExecutor(), [events.append])
    kinds = [type(event) for event in events]
    assert kinds == [Planned, Planned, Skipped, Started, Reported, Built]
    assert isinstance(events[4], Reported)
    assert events[4].metrics == {"step": 1, "loss": 2.5}


def test_units_are_counted_as_they_are_committed(store: Store) -> None:
    events: list[Event] = []
    with pytest.raises(OSError, match="broken"):
        run([Numbers(broken=(1,))], store, InlineExecutor(), [events.append])
    assert isinstance(events[-1], Failed)
    events.clear()
    run([Numbers()], store, InlineExecutor(), [events.append])
    counts = [(event.phase, event.done, event.total) for event in events if isinstance(event, Advanced)]
    assert counts == [("write", 1, 3), ("write", 2, 3), ("write", 3, 3)]


def test_a_failing_listener_never_stops_a_run(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise ConnectionError("the tracker is down")

    events: list[Event] = []
    assert run([Numbers()], store, InlineExecutor(), [broken, events.append]).built == (Numbers().address,)
    assert isinstance(events[-1], Built)
    assert "the tracker is down" in caplog.text


def test_a_failure_to_commit_is_told_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    put_new = LocalStore.put_new

    def full(self: LocalStore, path: str, data: Any) -> bool:
        if path.endswith("manifest.json"):
            raise OSError(28, "No space left on device", path)
        return put_new(self, path, data)

    monkeypatch.setattr(LocalStore, "put_new", full)
    with pytest.raises(OSError, match="No space left"):
        run([Numbers()], store, InlineExecutor(), [events.append])
    assert isinstance(events[-1], Failed)


@dataclass(frozen=True, kw_only=True)
class Impossible(Step[Any]):
    numbers: Numbers

    def check(self) -> None:
        raise RequestError("the source is not there: name one that is")

    def run(self, context: Context) -> Mapping[str, Any]:
        return {}


def test_what_can_be_seen_to_be_wrong_is_said_before_anything_starts(store: Store) -> None:
    events: list[Event] = []
    with pytest.raises(RequestError, match="the source is not there"):
        run([Impossible(numbers=Numbers())], store, InlineExecutor(), [events.append])
    assert {type(event) for event in events} == {Planned}
    assert tree(store.url) == {}


def test_a_gang_needs_a_cluster(store: Store) -> None:
    with pytest.raises(RequestError, match="use --cluster local, or 1 worker"):
        run([Trained(numbers=Numbers(), workers=2)], store, InlineExecutor())


def test_a_finished_gang_is_not_trained_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trained(numbers=Numbers())
    run([step.numbers], store, InlineExecutor())
    monkeypatch.setattr("pipeline.workflow.run._commit", _full)
    with pytest.raises(OSError, match="No space left"):
        run([step], store, InlineExecutor())
    monkeypatch.undo()
    events: list[Event] = []
    assert run([step], store, InlineExecutor(), [events.append]).built == (step.address,)
    assert not any(isinstance(event, Reported) for event in events)


def _full(*_: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_two_threads_that_race_write_one_manifest_and_both_succeed(store: Store) -> None:
    step = Total(numbers=Numbers(count=8, pause=0.01), pause=0.01)
    outcomes: list[Any] = []
    gate = threading.Barrier(3)

    def drive() -> None:
        gate.wait()
        outcomes.append(run([step], store, InlineExecutor()))

    threads = [threading.Thread(target=drive) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    assert all(outcome.manifests == outcomes[0].manifests for outcome in outcomes)
    total = open_artifact(store, step)
    assert total.local(total.files("total")[0]).read_text() == "28"
