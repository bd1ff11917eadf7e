"""What people see of a run: every fact, seldom enough to be calm."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console

from infra.progress import LINE_SECONDS, Progress
from pipeline.storage import Store
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.events import Advanced, Built, Failed, Reported, Skipped, Started
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Step
from tests.workflow.steps import Numbers, Total


@dataclass(frozen=True, kw_only=True)
class Pretrain(Step[Any]):
    """Stands for the real one, by its name."""

    def run(self, context: Context) -> Mapping[str, Any]:
        return {}


METRICS = {"step": 100, "steps": 800, "loss": 3.25, "learning_rate": 3e-4, "tokens_per_second": 8432.0}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(stream: io.StringIO, clock: Clock) -> Progress:
    return Progress(stream, clock)


def manifest(facts: Mapping[str, Any]) -> Manifest:
    return Manifest("numbers", "0" * 20, {}, {}, (), facts)


def shown(progress: Progress, width: int) -> str:
    """The live line at a width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(progress)
    return capture.get().rstrip("\n")


def test_a_finished_step_is_one_line_with_its_counts_and_seconds(progress: Progress, stream: io.StringIO) -> None:
    progress(Built(Numbers(), manifest({"read": 1480, "kept": 1402, "dropped": {"short": 78}}), 3.14))
    assert stream.getvalue() == "✓ numbers            1,402 documents of 1,480, 3.1 s\n"


def test_a_step_that_was_there_says_so(progress: Progress, stream: io.StringIO) -> None:
    progress(Skipped(Numbers(), manifest({"vocabulary": 16384})))
    assert stream.getvalue() == "· numbers            vocabulary of 16,384, built before\n"


def test_a_failed_step_says_after_how_long(progress: Progress, stream: io.StringIO, clock: Clock) -> None:
    progress(Started(Numbers()))
    clock.now = 300
    progress(Failed(Numbers(), OSError("why")))
    progress(Started(Numbers()))
    progress(Failed(Numbers(), KeyboardInterrupt()))
    assert "✗ numbers            failed, after 5 min\n" in stream.getvalue()
    assert "✗ numbers            interrupted, after 0.0 s\n" in stream.getvalue()


def test_a_log_gets_a_line_only_now_and_then(progress: Progress, stream: io.StringIO, clock: Clock) -> None:
    progress(Started(Numbers()))
    for second in range(100):
        clock.now = float(second)
        progress(Advanced(Numbers(), "write", second, 100))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 100 / LINE_SECONDS
    assert lines[-1] == "  numbers            write 95 of 100, 5.0 s left"


def test_training_tells_step_time_left_loss_pace_and_learning_rate(progress: Progress, stream: io.StringIO, clock: Clock) -> None:
    progress(Started(Pretrain()))
    progress(Reported(Pretrain(), {**METRICS, "step": 50}))
    clock.now = 50.0
    progress(Reported(Pretrain(), {**METRICS, "validation_loss": 3.5}))
    assert stream.getvalue().splitlines()[-1] == (
        "  pretrain           step 100 of 800, 12 min left, loss 3.2500, validation 3.5000, 8,432 tokens/s, learning rate 3.00e-04"
    )


def test_a_resumed_phase_does_not_seem_fast(progress: Progress, stream: io.StringIO, clock: Clock) -> None:
    progress(Started(Numbers()))
    progress(Advanced(Numbers(), "write", 90, 100))
    clock.now = 10.0
    progress(Advanced(Numbers(), "write", 91, 100))
    assert stream.getvalue().splitlines()[-1].endswith("write 91 of 100, 90 s left")


def test_training_without_a_known_end_tells_the_step(progress: Progress, stream: io.StringIO, clock: Clock) -> None:
    progress(Started(Pretrain()))
    clock.now = 10.0
    progress(Reported(Pretrain(), {"step": 7, "loss": float("nan")}))
    assert stream.getvalue().splitlines()[-1] == "  pretrain           step 7, 10 s so far, loss nan"


@pytest.mark.parametrize("width", [40, 72, 130, 200])
def test_the_live_line_is_one_line_at_any_width(width: int, clock: Clock) -> None:
    progress = Progress(Terminal(), clock)
    progress(Started(Pretrain()))
    try:
        progress(Reported(Pretrain(), METRICS))
        line = shown(progress, width)
        assert "pretrain" in line
        assert "step 1" in line
        assert "\n" not in line
        assert len(line) <= width
    finally:
        progress(Failed(Pretrain(), KeyboardInterrupt()))


def test_a_terminal_keeps_the_finished_lines_alone(store: Store) -> None:
    terminal = Terminal()
    run([Total(numbers=Numbers())], store, InlineExecutor(), [Progress(terminal)])
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n")
    finished = [line for line in plain.splitlines() if line.startswith("✓")]
    assert [line.split()[1] for line in finished] == ["numbers", "total"]


def test_a_run_without_a_terminal_writes_no_control_codes(store: Store) -> None:
    log = io.StringIO()
    run([Total(numbers=Numbers())], store, InlineExecutor(), [Progress(log)])
    assert "\x1b" not in log.getvalue()
    assert "✓ numbers            3 documents" in log.getvalue()
