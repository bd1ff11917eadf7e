"""Work on a schedule: at its times, one run after the other, and at most one run for all that were missed."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from infra.timetable import Timetable
from pipeline.errors import RequestError, RunError

THREE = Timetable("0 3 * * *")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize("wrong", ["", "often", "61 * * * *", "* * * *", "0 3 * * * * *", "0 0 31 2 *"])
def test_what_is_no_schedule_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(RequestError, match=r'--schedule is .*: use five fields, such as "0 3 \* \* \*"'):
        Timetable(wrong)


def test_the_next_time_is_after_a_moment_and_not_at_it() -> None:
    assert THREE.after(local("2026-11-24T02:59:59")) == local("2026-11-24T03:00:00")
    assert THREE.after(local("2026-11-24T03:00:00")) == local("2026-11-25T03:00:00")


def test_a_run_is_due_if_a_time_has_passed_since_the_last_one() -> None:
    assert THREE.missed(None, local("2026-11-24T12:00:00"))
    assert THREE.missed(local("2026-11-20T03:00:05"), local("2026-11-24T12:00:00"))
    assert not THREE.missed(local("2026-11-24T03:00:05"), local("2026-11-24T12:00:00"))


class Stopped(BaseException):
    """Stands for the end of the process."""


def kept(monkeypatch: pytest.MonkeyPatch, runs: int, outcomes: list[Exception | None]) -> list[str]:
    """What a timetable does until so many runs: "run", and "wait" before each that is not due at once."""
    told: list[str] = []
    monkeypatch.setattr(Timetable, "_wait", lambda self, until: told.append("wait"))

    def work() -> Mapping[str, Any]:
        told.append("run")
        if told.count("run") == runs:
            raise Stopped
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        return {"built": [], "skipped": []}

    with pytest.raises(Stopped):
        Timetable("0 3 1 1 *").keep(work, None)
    return told


def test_a_first_run_is_at_once_and_later_ones_at_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(monkeypatch, 3, []) == ["run", "wait", "run", "wait", "run"]


def test_a_run_that_fails_is_told_of_and_the_next_one_comes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert kept(monkeypatch, 2, [RunError("the store does not answer")]) == ["run", "wait", "run"]
    assert "failed: the store does not answer" in caplog.text


def test_a_wrong_request_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> Mapping[str, Any]:
        raise RequestError("there is no such file")

    with pytest.raises(RequestError, match="no such file"):
        THREE.keep(work, None)
