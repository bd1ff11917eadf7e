"""What is done where a step goes wrong: its loss or its gradient norm is no finite number, or its loss jumps.

Every member comes to the same decision, since it follows from the gang's mean loss and the gang's gradient norm; and it is a function
of what was trained before, so that a run that was killed and goes on passes over the same steps. The losses that a jump is told
by, and the steps that were passed over, are in the rows of metrics, which every checkpoint carries.

A batch that was passed over made no update, so it is no part of the chain of batches (see `ledger.py`), nor of what a document was
seen in: the chain, `tokens` and `jobs/trace.py` speak of what was trained on.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any, Literal, get_args

from pipeline.errors import RequestError, RunError
from pipeline.storage import Store
from pipeline.workflow.fingerprint import execution

log = logging.getLogger(__name__)
Act = Literal["stop", "skip", "rewind"]
Row = dict[str, Any]
PASSED = "passed_over"
"""What a row of metrics has in a step without an update: `why`, and the ids of the `documents` in its batch. In the facts of a model:
the numbers of these batches, counted from 0."""
NORMAL = 1.4826
"""The standard deviation of a normal distribution over its median absolute deviation."""
LEAST_DEVIATION = 1e-3
"""Where losses hardly differ, this share of their median stands for their standard deviation."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """When a step is wrong, and what is done then.

    `stop` ends the run. `skip` passes over the step: it makes no update, and the next one follows. `rewind` goes back to the newest
    checkpoint and does the steps since then anew, but for that one; so it is rid of a state that a fault of the machine has spoiled,
    and ends in the weights of `skip` where there was none. The documents of the batch are listed each time.
    """

    act: Act = "stop"
    spike: float | None = None
    """A loss jumps where it is so many standard deviations above the median of the last `window` losses; None: none does.
    The deviation is estimated by the median absolute one, which single jumps do not move."""
    window: int = 100
    """Losses that a jump is told by; none is told before there are so many."""
    most: int = execution(10)
    """Greatest number of steps that are passed over; at one more the run stops, and the same command with a greater number goes on."""

    def __post_init__(self) -> None:
        if self.act not in get_args(Act):
            raise RequestError(f"watch.act is {self.act!r}: use stop, skip or rewind")
        if self.spike is not None and not self.spike > 0:
            raise RequestError(f"watch.spike is {self.spike}: use a number of standard deviations above 0, such as 10, or None")
        if self.window < 2:
            raise RequestError(f"watch.window is {self.window}: use at least 2 losses")
        if self.most < 1:
            raise RequestError(f"watch.most is {self.most}: use at least 1 step, or stop as watch.act")

    def of_loss(self, loss: float, rows: Sequence[Row]) -> str | None:
        """What is wrong with a loss that follows some rows of metrics; None where nothing is."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if self.spike is None:
            return None
        recent = list(islice((row["loss"] for row in reversed(rows) if PASSED not in row), self.window))
        if len(recent) < self.window:
            return None
        usual = median(recent)
        deviation = max(NORMAL * median(abs(value - usual) for value in recent), LEAST_DEVIATION * abs(usual))
        if loss <= usual + self.spike * deviation:
            return None
        return f"the loss is {loss:.4g}, {(loss - usual) / deviation:.1f} standard deviations above the median of {usual:.4g},"

    def stopping(self) -> "Watch":
        """The watch that finds the same steps wrong and stops at the first: up to there a run is the same with either."""
        return Watch() if self.spike is None else Watch(spike=self.spike, window=self.window)

    def of_norm(self, norm: float) -> str | None:
        """What is wrong with a gradient norm; None where nothing is."""
        return None if math.isfinite(norm) else f"the gradient norm is {norm}"


@dataclass
class Watcher:
    """The watch over one run, in one member."""

    watch: Watch
    steps: int
    """Of the whole run."""
    documents_in: Callable[[int], Sequence[str]]
    """The ids of the documents in the batch of a step, counted from 0."""
    store: Store
    folder: str
    """Where the documents of wrong steps are listed."""
    first: bool
    """Whether this is the member that writes and tells."""
    remedy: str
    called: str = "documents"
    """What it is that has those ids."""
    passed: dict[int, Row] = field(default_factory=dict)
    """The rows of the steps that are passed over after going back, by the number of steps that are done then."""

    def note(self, done: int, why: str, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Write down what is wrong with a step; returns what its row says of it. Raises RunError where the run is to end."""
        documents = list(self.documents_in(done - 1))
        path = f"{self.folder}/step-{done:08d}.json"
        if self.first:
            self._list(path, {"step": done, "batch": done - 1, "why": why.rstrip(","), self.called: documents})
        listed = f"the {len(documents)} {self.called} of its batch are listed in {self.store.url}/{path}"
        if self.watch.act == "stop":
            raise RunError(f"{why} in step {done}: {self.remedy}, or use skip as watch.act to go on from the newest checkpoint; {listed}")
        before = {row["step"] for row in rows if PASSED in row} | self.passed.keys()
        if len(before) >= min(self.watch.most, self.steps - 1):
            raise RunError(
                f"{why} in step {done}, and {len(before)} of {self.steps} steps were passed over before: {self.remedy},"
                f" or raise watch.most (now {self.watch.most}); {listed}"
            )
        if self.first:
            log.warning("%s in step %d, which is passed over; %s", why, done, listed)
        return {"why": why.rstrip(","), self.called: documents}

    def goes_back(self, row: Row) -> bool:
        """Whether the run is to go back after this row; then the step is passed over when it comes again."""
        if self.watch.act != "rewind" or PASSED not in row or row["step"] in self.passed:
            return False
        self.passed[row["step"]] = row
        return True

    def _list(self, path: str, wrong: Mapping[str, Any]) -> None:
        try:
            self.store.put(path, (json.dumps(wrong, indent=1, ensure_ascii=False) + "\n").encode())
        except (OSError, RunError) as problem:
            log.warning(
                "%s cannot be written (%s); the %s of step %d: %s",
                *(path, problem, self.called, wrong["step"], " ".join(wrong[self.called])),
            )


def passed_over(rows: Sequence[Row]) -> list[int]:
    """The numbers, counted from 0, of the batches that made no update."""
    return [row["step"] - 1 for row in rows if PASSED in row]
