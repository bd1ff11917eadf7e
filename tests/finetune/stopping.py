"""Fine-tunings that are stopped on the way, and what they end in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.finetune.finetune import Finetune
from pipeline.finetune.loop import FinetuneLoop
from pipeline.storage import open_store
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact


@dataclass(frozen=True)
class Both:
    """What a fine-tuning ended in that ran through, and what the same one did that was stopped."""

    whole: Checkpoint
    stopped: Checkpoint

    def files(self) -> list[list[tuple[str, str]]]:
        """The files of each but for their metrics, which hold times."""
        both = (self.whole, self.stopped)
        return [[(entry.path, entry.checksum) for entry in one.manifest.files if entry.kind != "metrics"] for one in both]


def whole_and_stopped(step: Finetune, place: Path, monkeypatch: pytest.MonkeyPatch, stops: Sequence[int]) -> Both:
    """Run a step through, and elsewhere with an end before each of some steps."""
    taken = FinetuneLoop._step
    for stop in stops:

        def broken(self: FinetuneLoop, done: int, stop: int = stop) -> Any:
            if done == stop:
                raise KeyboardInterrupt
            return taken(self, done)

        with monkeypatch.context() as patched:
            patched.setattr(FinetuneLoop, "_step", broken)
            with pytest.raises(KeyboardInterrupt):
                _run(step, place / "stopped")
    return Both(_run(step, place / "whole"), _run(step, place / "stopped"))


def _run(step: Finetune, root: Path) -> Checkpoint:
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    return open_artifact(store, step)
