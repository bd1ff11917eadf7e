"""A journal tells what is running, failed or interrupted, with no cluster up; and it never stands in a run's way."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage import LocalStore, Store
from pipeline.workflow import journal as journal_module
from pipeline.workflow.artifact import manifest_path
from pipeline.workflow.events import Built, Event, Listener
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.journal import Journal, Status, statuses, words_of
from pipeline.workflow.run import run
from pipeline.workflow.unit import Unit
from tests.workflow.steps import Numbers, Total, Trained

STEP = Total(numbers=Numbers())


def listeners(store: Store, *others: Listener) -> list[Listener]:
    return [Journal(store, "pretrain"), *others]


def seen(store: Store, later: float = 0.0) -> dict[str, Status]:
    """The statuses by the step's name, asked for `later` seconds from now."""
    return {status.address.split("/")[0]: status for status in statuses(store, datetime.now(UTC) + timedelta(seconds=later))}


def asked_while(store: Store, monkeypatch: pytest.MonkeyPatch, later: float = 0.0) -> dict[str, Status]:
    """The statuses that are read in the midst of the second unit of Numbers."""
    found: dict[str, Status] = {}

    def write(self: Numbers, unit: Unit, number: int) -> Mapping[str, Any]:
        if number == 1:
            _until(lambda: "1 of" in seen(store)["numbers"].detail)
            found.update(seen(store, later))
        return {"kept": 1}

    monkeypatch.setattr(Numbers, "write", write)
    monkeypatch.setattr(journal_module, "WRITE_SECONDS", 0.01)
    run([Numbers()], store, InlineExecutor(), listeners(store))
    return found


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)


def test_a_root_that_holds_nothing_knows_of_nothing(store: Store) -> None:
    assert statuses(store) == []


def test_what_is_built_is_told_by_manifests_alone(store: Store) -> None:
    run([STEP], store, InlineExecutor())
    assert [(status.address, status.state) for status in statuses(store)] == [(STEP.numbers.address, "built"), (STEP.address, "built")]
    assert statuses(store)[0].detail.startswith("in ")


def test_a_running_step_tells_how_far_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    status = asked_while(store, monkeypatch)["numbers"]
    assert (status.state, status.detail, status.job) == ("running", "1 of 3 units of write", "pretrain")


def test_a_run_that_fell_silent_is_interrupted_and_says_since_when(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    status = asked_while(store, monkeypatch, later=300)["numbers"]
    assert status.state == "interrupted"
    assert status.detail == "not heard of for 5 min, at 1 of 3 units of write: the same command goes on from the last unit or checkpoint"


def test_a_heart_beats_while_a_long_unit_says_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(journal_module, "BEAT_SECONDS", 0.01)
    beats: set[str] = set()

    def write(self: Numbers, unit: Unit, number: int) -> Mapping[str, Any]:
        def beaten() -> bool:
            beats.add(json.loads(store.get(next(iter(store.list("journal"))).path))["heartbeat"])
            return len(beats) > 1

        _until(beaten)
        return {"kept": 1}

    monkeypatch.setattr(Numbers, "write", write)
    run([Numbers(count=1)], store, InlineExecutor(), listeners(store))
    assert len(beats) > 1


def test_training_tells_its_own_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trained(numbers=Numbers())
    run([step.numbers], store, InlineExecutor())
    monkeypatch.setattr("pipeline.workflow.run.check_balance", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run([step], store, InlineExecutor(), listeners(store))
    assert seen(store)["trained"].detail == "stopped at step 1, loss 2.5: the same command goes on from the last unit or checkpoint"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_failed_step_says_why_on_one_line(store: Store) -> None:
    with pytest.raises(OSError, match="broken"):
        run([replace(STEP, numbers=Numbers(broken=(1,)))], store, InlineExecutor(), listeners(store))
    found = seen(store)
    assert (found["numbers"].state, found["numbers"].detail) == ("failed", "OSError: unit 1 is broken")
    assert "total" not in found, "what waits for a failed step is not under way"


def test_a_failed_step_that_was_built_since_is_built(store: Store) -> None:
    with pytest.raises(OSError, match="broken"):
        run([Numbers(broken=(1,))], store, InlineExecutor(), listeners(store))
    run([Numbers()], store, InlineExecutor(), listeners(store))
    assert seen(store)["numbers"].state == "built"


def test_an_interrupted_step_says_where_it_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Numbers, unit: Unit, number: int) -> Mapping[str, Any]:
        if number == 2:
            raise KeyboardInterrupt
        return {"kept": 1}

    monkeypatch.setattr(Numbers, "write", write)
    with pytest.raises(KeyboardInterrupt):
        run([Numbers()], store, InlineExecutor(), listeners(store))
    status = seen(store)["numbers"]
    words = "stopped at 2 of 3 units of write: the same command goes on from the last unit or checkpoint"
    assert (status.state, status.detail) == ("interrupted", words)


def test_a_killed_run_is_interrupted(tmp_path: Path) -> None:
    code = (
        "import os, sys; from tests.workflow.test_journal import *; Numbers.write = lambda *a: os.kill(os.getpid(), 9); "
        "store = LocalStore(sys.argv[1]); run([STEP], store, InlineExecutor(), listeners(store))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    store = LocalStore(str(tmp_path))
    assert seen(store)["numbers"].state == "running", "nobody can know yet"
    found = seen(store, later=3600 * 5)
    assert found["numbers"].detail.startswith("not heard of for 5 h")
    assert "total" not in found


def test_what_waits_for_a_running_step_is_waiting(store: Store) -> None:
    found: dict[str, Status] = {}

    def ask(event: Event) -> None:
        if isinstance(event, Built) and event.step == STEP.numbers:
            found.update(seen(store))

    run([STEP], store, InlineExecutor(), listeners(store, ask))
    assert (found["total"].state, found["total"].detail) == ("waiting", "not built")


def test_a_run_that_builds_nothing_leaves_no_journal(store: Store) -> None:
    run([STEP], store, InlineExecutor())
    run([STEP], store, InlineExecutor(), listeners(store))
    assert list(store.list("journal")) == []


def test_a_journal_holds_no_arguments_and_no_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-secret-key")
    monkeypatch.setattr("sys.argv", ["pretrain.py", "--token", "a-secret-key"])
    run([STEP], store, InlineExecutor(), listeners(store))
    texts = [store.get(entry.path) for entry in store.list("journal")]
    assert len(texts) == 1
    assert b"a-secret-key" not in texts[0]


def test_a_journal_that_cannot_be_written_never_stops_a_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: LocalStore, path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(LocalStore, "put", full)
    monkeypatch.setattr(journal_module, "WRITE_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING):
        outcome = run([Numbers(pause=0.05)], store, InlineExecutor(), listeners(store))
    assert outcome.built == (Numbers().address,)
    assert "the journal cannot be written" in caplog.text
    assert caplog.text.count("the journal cannot be written") == 1


def test_no_thread_is_left_behind(store: Store) -> None:
    run([STEP], store, InlineExecutor(), listeners(store))
    _until(lambda: not any(thread.name == "journal" for thread in threading.enumerate()))


def test_a_damaged_journal_or_manifest_hides_no_other(store: Store) -> None:
    run([STEP], store, InlineExecutor(), listeners(store))
    store.put("journal/20990101T000000-broken.json", b"{")
    store.put(manifest_path(STEP.address), b"{")
    found = seen(store)
    assert found["numbers"].state == "built"
    assert found["total"].state == "failed"
    assert "is not a manifest" in found["total"].detail


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (119, "119 s"), (180, "3 min"), (7200, "2 h"), (432_000, "5 days")],
)
def test_lengths_of_time_are_in_words(seconds: float, words: str) -> None:
    assert words_of(seconds) == words
