"""Saving while training goes on; and going on where a save fails."""

import errno
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from pipeline.errors import RunError
from pipeline.storage import LocalStore, Store, open_store
from pipeline.train.checkpoint import Checkpoint, Checkpoints
from pipeline.train.engine import Update
from pipeline.train.plain import PlainEngine, PlainEngines
from pipeline.train.saves import FAILED, Saves
from tests.infra.nets import started, train
from tests.train.tiny import Lone, pretrain, weights_of

Build = Callable[[Any], Checkpoint]
FOLDER = "pretrain/x/work/checkpoints/basis"


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Callable[[str], bool], problem: Callable[[str], Exception]) -> None:
    """Let some of what is to be stored below `step-…` fail."""

    def stored(path: str) -> None:
        if refused(path):
            raise problem(path)

    before_storing(monkeypatch, stored)


def slow_first_save(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let the save after five steps stand still until ten are taken; what is returned will say how many were taken when each was stored."""
    taken: list[int] = []
    at_save: dict[str, int] = {}
    released = Event()
    plain_step = PlainEngine.step

    def slow(path: str) -> None:
        if "/step-00000005/" in path:
            assert released.wait(60)
        at_save.setdefault(path.split("/step-")[1][:8], len(taken))

    def step(engine: PlainEngine, rate: float) -> float:
        taken.append(1)
        if len(taken) == 10:
            released.set()
        return plain_step(engine, rate)

    before_storing(monkeypatch, slow)
    monkeypatch.setattr(PlainEngine, "step", step)
    return at_save


def before_storing(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None]) -> None:
    """Do something before a file is stored below `step-…`."""

    def acting(plain: Callable[..., bool]) -> Callable[..., bool]:
        def store_it(store: LocalStore, path: str, data: bytes | Path) -> bool:
            if "/step-" in path:
                act(path)
            return plain(store, path, data)

        return store_it

    for name in ("put_new", "adopt_new"):
        monkeypatch.setattr(LocalStore, name, acting(getattr(LocalStore, name)))


def full(path: str) -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def unanswered(path: str) -> Exception:
    return RunError(f"{path}: connection refused; see that the store can be reached")


@pytest.mark.parametrize("problem", [full, unanswered])
@pytest.mark.parametrize("refused", ["safetensors", "metrics.jsonl", "manifest.json"])
def test_a_save_that_fails_is_told_of_and_the_run_goes_on_to_the_same_weights(
    build: Build, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: Any, refused: str
) -> None:
    step = pretrain(18, save_every=4, keep_at=(12,))
    undisturbed = weights_of(build(step).model)
    store.delete(f"{step.address}/manifest.json")
    for entry in list(store.list(f"{step.address}/kept")):
        store.delete(entry.path)
    refuse(monkeypatch, lambda path: refused in path and ("step-00000004" in path or "step-00000008" in path), problem)
    with caplog.at_level(logging.WARNING):
        found = build(step)
    assert weights_of(found.model) == undisturbed
    failed = [row for row in found.metrics() if FAILED in row]
    assert len(failed) == 2
    assert ("No space left" in failed[0][FAILED]) is (problem is full)
    assert "the checkpoint of 4 steps could not be saved and the next one is tried" in caplog.text
    assert [entry.path.endswith("manifest.json") for entry in store.list(f"{step.address}/kept")].count(True) == 1, "12 was saved"


def test_what_was_written_of_a_failed_save_goes_so_that_there_is_room(build: Build, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[str] = []
    plain = PlainEngine.step

    def looking(engine: PlainEngine, rate: float) -> float:
        there[:] = [entry.path for entry in store.list("pretrain") if "/step-00000005/" in entry.path]
        return plain(engine, rate)

    refuse(monkeypatch, lambda path: path.endswith("manifest.json"), full)
    monkeypatch.setattr(PlainEngine, "step", looking)
    build(pretrain(11, save_every=5))
    assert not there, "step 11 is after the save of 10, which waits for that of 5 to have failed"


def test_three_failed_saves_in_a_row_end_the_run_and_the_same_command_goes_on(
    build: Build, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = pretrain(40, save_every=4)
    undisturbed = weights_of(build(step).model)
    store.delete(f"{step.address}/manifest.json")
    with monkeypatch.context() as patch:
        refuse(patch, lambda path: "step-00000008" not in path, full)
        with pytest.raises(
            RunError, match=rf"3 saves in a row failed, the last one after step 20 .*No space left.* room in it and in {store.url[:4]}"
        ):
            build(step)
    begun: list[int] = []
    plain = PlainEngine.step
    monkeypatch.setattr(PlainEngine, "step", lambda engine, rate: begun.append(1) or plain(engine, rate))
    assert weights_of(build(step).model) == undisturbed
    assert len(begun) == 40 - 8


def test_training_goes_on_while_a_save_is_under_way_and_the_next_one_waits(
    build: Build, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_save = slow_first_save(monkeypatch)
    found = build(pretrain(14, save_every=5))
    assert at_save["00000005"] == 10, "five steps were trained while the first save stood still"
    assert at_save["00000010"] >= 10
    assert [row["step"] for row in found.metrics() if row["economy"]["save_seconds"] > 0] == [6, 11]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_is_interrupted_waits_for_the_save_under_way(
    build: Build, store: Store, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException]
) -> None:
    ended = Event()
    plain_step, taken = PlainEngine.step, list[int]()

    def slow(_: str) -> None:
        assert ended.wait(60)

    def step(engine: PlainEngine, rate: float) -> float:
        taken.append(1)
        if len(taken) == 7:
            ended.set()
            raise ending
        return plain_step(engine, rate)

    before_storing(monkeypatch, slow)
    monkeypatch.setattr(PlainEngine, "step", step)
    with pytest.raises(ending):
        build(pretrain(14, save_every=5))
    assert [entry.path for entry in store.list("pretrain") if entry.path.endswith("step-00000005/manifest.json")]


def test_a_copy_holds_what_was_there_when_it_was_made_in_the_bytes_of_a_save(tmp_path: Path) -> None:
    engine = started(PlainEngines(), Update(), Lone())
    train(engine, Lone(), steps=3)
    (saved, copied) = (tmp_path / "saved", tmp_path / "copied")
    saved.mkdir()
    copied.mkdir()
    engine.save(saved)
    write = engine.copied()
    train(engine, Lone(), first=3, steps=6)
    write(copied)
    assert [place.name for place in copied.iterdir()] == ["state-00000.safetensors"]
    assert (copied / "state-00000.safetensors").read_bytes() == (saved / "state-00000.safetensors").read_bytes()


def test_a_file_that_does_not_fit_is_told_as_a_full_disk_is(tmp_path: Path) -> None:
    write = started(PlainEngines(), Update(), Lone()).copied()
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"state-00000\.safetensors cannot be written: "):
            write(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_others_may_read_a_checkpoint_as_they_may_what_else_is_in_the_root(store: Store) -> None:
    with Saves(Checkpoints(store, FOLDER, "1 worker", Lone())) as saves:
        saves.begin(started(PlainEngines(), Update(), Lone()), 1, "")
    modes = {Path(store.url, entry.path).stat().st_mode & 0o777 for entry in store.list(FOLDER)}
    assert modes == {Path(store.url, FOLDER).stat().st_mode & 0o666}


class Page:
    """An engine whose whole state is a text, in one member of a gang."""

    def __init__(self, rank: int, text: str = "") -> None:
        self.rank, self.text = rank, text

    def copied(self) -> Callable[[Path], None]:
        text = self.text
        return lambda folder: (folder / f"page-{self.rank}.txt").write_text(text)  # type: ignore[return-value, func-returns-value]

    def load(self, folder: Path) -> None:
        self.text = (folder / f"page-{self.rank}.txt").read_text()


def in_gang(size: int, work: Callable[[Lone], Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What comes of each member's work, in threads; or the error that it ends by."""
    barrier, values, found = Barrier(size, timeout=60), [None] * size, [None] * size

    def gather(member: Any, value: Any) -> list[Any]:
        values[member.rank] = value
        barrier.wait()
        all_of_them = list(values)
        barrier.wait()
        return all_of_them

    def one(rank: int) -> None:
        try:
            found[rank] = work(Lone(rank, size))
        except RunError as problem:
            found[rank] = problem  # type: ignore[call-overload]

    for module in ("saves", "checkpoint"):
        monkeypatch.setattr(f"pipeline.train.{module}.gather", gather)
    threads = [Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_members_take_the_same_decision_where_one_of_them_cannot_save(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, lambda path: "page-1" in path and "step-00000001" not in path, full)

    def work(member: Lone) -> None:
        with Saves(Checkpoints(store, FOLDER, "3 workers", member)) as saves:
            for step in range(1, 9):
                saves.look()
                saves.begin(Page(member.rank, f"{step}"), step, "")  # type: ignore[arg-type]

    told = in_gang(3, work, monkeypatch)
    assert {str(problem) for problem in told} == {str(told[0])}
    assert "3 saves in a row failed, the last one after step 4" in str(told[0])

    def resumed(member: Lone) -> tuple[int, str]:
        page = Page(member.rank)
        return Checkpoints(store, FOLDER, "3 workers", member).resume(page).steps, page.text  # type: ignore[arg-type]

    assert in_gang(3, resumed, monkeypatch) == [(1, "1")] * 3


def test_an_object_store_is_saved_to_as_well(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path))
    checkpoints, page = Checkpoints(open_store(bucket), FOLDER, "1 worker", Lone()), Page(0)
    with Saves(checkpoints) as saves:
        for step in range(1, 5):
            saves.look()
            saves.begin(Page(0, f"{step}"), step, "")  # type: ignore[arg-type]
    assert checkpoints.resume(page).steps == 4  # type: ignore[arg-type]
    assert page.text == "4"
    assert {entry.path.split("/step-")[1][:8] for entry in checkpoints.store.list(FOLDER)} == {"00000003", "00000004"}


def test_one_save_between_failures_sets_the_count_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, lambda path: "step-00000003" not in path and "step-00000006" not in path, full)
    told = []
    with Saves(Checkpoints(store, FOLDER, "1 worker", Lone())) as saves:
        for step in range(1, 9):
            saves.begin(Page(0, f"{step}"), step, "")  # type: ignore[arg-type]
            told.append(FAILED in saves.finish())
    assert told == [True, True, False, True, True, False, True, True]
