"""The loop of a fine-tuning: steps over windows, looks at the validation examples, and the best weights kept.

What is trained on in a step is a function of its number, and so is what is dropped out; so a run that is resumed goes on as if it had
never stopped. A row of metrics: `step`, `examples` (windows trained on so far), `loss` (mean over the step's rows), `learning_rate`,
`gradient_norm`, `tokens_per_second`, `validation` {metric: value} where it looked, and what every training has in its rows (see
`pipeline/train/stepwise.py`).
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.windows import Windows, windows_of
from pipeline.train.engine import Engine, Resumable
from pipeline.train.gang import gather, mean
from pipeline.train.schedule import Schedule
from pipeline.train.state import write_tensors
from pipeline.train.stepwise import LOOKING, Span, Stepwise, finite
from pipeline.workflow.step import Member

if TYPE_CHECKING:
    from torch import Tensor

BEST, BEST_SCORE = "best.safetensors", "best.json"
Metrics = Mapping[str, float]
Look = Callable[["Mapping[str, Tensor]"], Metrics]


@dataclass(frozen=True, kw_only=True)
class Plan(Span):
    """What is to be done."""

    batch: int
    """Windows in a step, over all members."""
    micro_batch: int
    schedule: Schedule
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

    def copied(self) -> Callable[[Path], None]:
        write, best = self.engine.copied(), replace(self.best)  # its weights are replaced as a whole

        def both(folder: Path) -> None:
            write(folder)
            if self.member.rank == 0:
                write_tensors(folder / BEST, best.weights)
                state = {"step": best.step, "score": best.score, "looks_since": best.looks_since}
                (folder / BEST_SCORE).write_text(json.dumps(state))

        return both

    def load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        self.engine.load(folder)
        state = json.loads((folder / BEST_SCORE).read_text())
        self.best.step, self.best.score, self.best.looks_since = state["step"], state["score"], state["looks_since"]
        self.best.weights = load_file(folder / BEST) if self.member.rank == 0 else {}


@dataclass(kw_only=True)
class FinetuneLoop(Stepwise):
    """One member's part of a fine-tuning. The best weights are in `best`."""

    plan: Plan
    task: FinetuneTask
    windows: Windows
    look: Look | None
    """What weights score on the validation examples; the first member alone has it."""
    best: Best = field(default_factory=Best)

    @property
    def span(self) -> Span:
        return self.plan

    @property
    def state(self) -> Resumable:
        return Keeping(self.engine, self.best, self.member)

    def _ended(self) -> bool:
        """Also where nothing gets better."""
        return super()._ended() or (self.plan.patience is not None and self.best.looks_since >= self.plan.patience)

    def _measure(self, row: dict[str, Any]) -> None:
        """Now and then, and at the end, a look at the validation examples."""
        if row["step"] % self.plan.look_every == 0 or row["step"] == self.plan.steps:
            row["validation"] = self._look(row["step"])

    def _step(self, done: int) -> dict[str, Any]:
        started = time.perf_counter()
        rate = self.plan.schedule.rate(done - 1, self.plan.steps)
        own, tokens = self._gradients(done - 1)
        loss = mean(self.member, self.engine.device, own)
        norm, passed = self._update(done, loss, rate)
        pace = sum(gather(self.member, tokens)) / (time.perf_counter() - started)
        before = self.rows[-1]["examples"] if self.rows else 0
        return {
            "step": done,
            "examples": before if passed else before + self.plan.batch,
            "loss": finite(loss),
            "learning_rate": rate,
            "gradient_norm": finite(norm),
            "tokens_per_second": round(pace, 1),
            **passed,
        }

    def _gradients(self, step: int) -> tuple[float, int]:
        """Add the gradients of this member's windows; their mean loss, and the tokens that they have."""
        import torch

        share = self.plan.batch // self.member.size
        batch = windows_of(step, len(self.windows), self.plan.batch, self.plan.seed)
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
        self.member.report({"step": done, "steps": self.plan.steps, LOOKING: "at validation examples"})
        metrics = gather(self.member, self.look(weights) if self.look else {})[0]
        score = metrics[self.plan.watched]
        if score > self.best.score:
            self.best.step, self.best.score, self.best.looks_since = done, score, 0
            self.best.weights = {name: tensor.clone() for name, tensor in weights.items()}  # an engine goes on changing its own
        else:
            self.best.looks_since += 1
        self.measured = {f"validation_{name}": value for name, value in metrics.items()}
        return metrics

    def _report(self, row: Mapping[str, Any]) -> None:
        super()._report({name: value for name, value in row.items() if name != "validation"})


def hash_of(*numbers: int) -> int:
    """A seed that is a function of some numbers."""
    from hashlib import blake2b

    return int.from_bytes(blake2b("/".join(map(str, numbers)).encode(), digest_size=7).digest(), "big")
