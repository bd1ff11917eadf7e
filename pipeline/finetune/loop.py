"""The loop of a fine-tuning: steps over windows, looks at the validation examples, and the best weights kept.

What is trained on in a step is a function of its number, and so is what is dropped out; so a run that is resumed goes on as if it had
never stopped. A row of metrics: `step`, `examples` (windows trained on so far), `loss` (mean over the step's rows), `learning_rate`,
`gradient_norm`, `tokens_per_second`, `seconds`, `economy` (what the step cost; see `pipeline/train/economy.py`), and where it looked,
`validation` {metric: value}.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RunError
from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.windows import Visits, Windows
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.economy import Economy
from pipeline.train.engine import Engine
from pipeline.train.gang import gather, mean
from pipeline.train.loop import json_lines
from pipeline.train.schedule import Schedule
from pipeline.workflow.step import Member

if TYPE_CHECKING:
    from torch import Tensor

REPORT_SECONDS = 2.0
BEST, BEST_SCORE = "best.safetensors", "best.json"
Metrics = Mapping[str, float]
Look = Callable[["Mapping[str, Tensor]"], Metrics]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done."""

    steps: int
    batch: int
    """Windows in a step, over all members."""
    micro_batch: int
    schedule: Schedule
    save_every: int
    look_every: int
    patience: int | None
    """Looks without a better score after which it stops; None: never."""
    watched: str
    padding: int
    seed: int


@dataclass
class Best:
    """The best weights so far, in the first member."""

    step: int = 0
    score: float = -math.inf
    looks_since: int = 0
    weights: "dict[str, Tensor]" = field(default_factory=dict)


@dataclass
class Keeping:
    """An engine whose checkpoints hold the best weights, too."""

    engine: Engine
    best: Best
    member: Member

    def save(self, folder: Path) -> None:
        self.engine.save(folder)
        if self.member.rank == 0:
            from safetensors.torch import save_file

            save_file(self.best.weights, folder / BEST)
            state = {"step": self.best.step, "score": self.best.score, "looks_since": self.best.looks_since}
            (folder / BEST_SCORE).write_text(json.dumps(state))

    def load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        self.engine.load(folder)
        state = json.loads((folder / BEST_SCORE).read_text())
        self.best.step, self.best.score, self.best.looks_since = state["step"], state["score"], state["looks_since"]
        self.best.weights = load_file(folder / BEST) if self.member.rank == 0 else {}


@dataclass(kw_only=True)
class FinetuneLoop:
    """One member's part of a fine-tuning."""

    plan: Plan
    engine: Engine
    task: FinetuneTask
    windows: Windows
    member: Member
    checkpoints: Checkpoints
    look: Look | None
    """What weights score on the validation examples; the first member alone has it."""
    economy: Economy
    best: Best = field(default_factory=Best)
    reported_at: float = -math.inf
    looked: dict[str, float] = field(default_factory=dict)

    def run(self) -> list[dict[str, Any]]:
        """Train until nothing gets better, or to the last step; returns a row of metrics a step. The best weights are in `best`."""
        keeping = Keeping(self.engine, self.best, self.member)
        resumed = self.checkpoints.resume(keeping)  # type: ignore[arg-type]  # it saves and loads as an engine does
        rows = [json.loads(line) for line in resumed.history.splitlines()]
        self.economy.begin(rows, resumed.place)
        begun = time.perf_counter() - (rows[-1]["seconds"] if rows else 0.0)
        done = resumed.steps
        while done < self.plan.steps and not self._tired():
            done += 1
            row = self._step(done)
            if done % self.plan.look_every == 0 or done == self.plan.steps:
                row["validation"] = self._look(done)
            row["seconds"] = round(time.perf_counter() - begun, 3)
            self.economy.note(row)
            rows.append(row)
            self._report(row)
            if done % self.plan.save_every == 0 and done < self.plan.steps:
                self.economy.enter(rows)
                with self.economy.waiting("save"):
                    self.checkpoints.save(keeping, done, json_lines(rows))  # type: ignore[arg-type]
        self.economy.enter(rows)
        return rows

    def _tired(self) -> bool:
        return self.plan.patience is not None and self.best.looks_since >= self.plan.patience

    def _step(self, done: int) -> dict[str, Any]:
        """One update, after which `done` steps are done; its metrics."""
        started = time.perf_counter()
        rate = self.plan.schedule.rate(done - 1, self.plan.steps)
        own, tokens = self._gradients(done - 1)
        loss = mean(self.member, self.engine.device, own)
        self._check("loss", loss, done)
        norm = self.engine.step(rate)
        self._check("gradient norm", norm, done)
        pace = sum(gather(self.member, tokens)) / (time.perf_counter() - started)
        metrics = {"step": done, "examples": done * self.plan.batch, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
        return {**metrics, "tokens_per_second": round(pace, 1)}

    def _gradients(self, step: int) -> tuple[float, int]:
        """Add the gradients of this member's windows; their mean loss, and the tokens that they have."""
        import torch

        share = self.plan.batch // self.member.size
        visits = Visits(len(self.windows), self.plan.seed)
        batch = visits.numbers(step * self.plan.batch, self.plan.batch)
        numbers, rows_a_window = batch[self.member.rank * share :][:share], self.windows.rows(batch) / self.plan.batch
        filling = {name: self.task.filling.get(name, self.plan.padding) for name in self.task.inputs}
        losses, tokens = [], 0
        for start in range(0, share, self.plan.micro_batch):
            with self.economy.waiting("data"):
                arrays = self.windows.batch(numbers[start : start + self.plan.micro_batch], self.task.inputs, filling)
                inputs = [torch.from_numpy(array).to(self.engine.device) for array in arrays]
            torch.manual_seed(hash_of(self.plan.seed, step, self.member.rank, start))  # of what is dropped out
            loss = self.engine.loss(*inputs) / rows_a_window
            self.engine.backward(loss)
            losses.append(loss.detach().double())
            tokens += arrays[0].size
        return (sum(losses[1:], losses[0]) / len(losses)).item(), tokens

    def _look(self, done: int) -> Metrics:
        """What the weights score now; they are kept where they are the best so far."""
        weights = self.engine.weights()
        metrics = gather(self.member, self.look(weights) if self.look else {})[0]
        score = metrics[self.plan.watched]
        if score > self.best.score:
            self.best.step, self.best.score, self.best.looks_since = done, score, 0
            self.best.weights = {name: tensor.clone() for name, tensor in weights.items()}  # an engine goes on changing its own
        else:
            self.best.looks_since += 1
        self.looked = {f"validation_{name}": value for name, value in metrics.items()}
        return metrics

    def _check(self, name: str, value: float, done: int) -> None:
        if not math.isfinite(value):
            raise RunError(f"the {name} is {value} in step {done}: lower schedule.peak (now {self.plan.schedule.peak})")

    def _report(self, row: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        if now - self.reported_at >= REPORT_SECONDS or row["step"] == self.plan.steps:
            self.reported_at = now
            told = {name: value for name, value in row.items() if name != "validation"}
            self.member.report({**self.looked, **told, "steps": self.plan.steps})


def hash_of(*numbers: int) -> int:
    """A seed that is a function of some numbers."""
    from hashlib import blake2b

    return int.from_bytes(blake2b("/".join(map(str, numbers)).encode(), digest_size=7).digest(), "big")
