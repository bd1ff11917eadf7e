"""How near the losses of every layout are to those of the plain loop with one worker: the same batches, added up in other orders.

    python -m benchmarks.layouts [--location FOLDER] [--steps 50]

The same recipe, in fp32 and at the same global batch, is trained by the plain engine and by ZeRO 0 to 3, each with one worker and with
two, on a Ray of its own. A layout is told by the greatest relative difference of its losses in any step, and the greatest difference
of any number among its weights at the end, which are at most `greatest_weight`.
"""

import argparse
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import save
from benchmarks.train import recipe
from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from infra.ray_cluster import cluster
from pipeline.models.llama import Llama
from pipeline.storage import open_store
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import Executor, InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Array = NDArray[float64]

MODEL, CONTEXT, BATCH = Llama(dim=64, depth=2, heads=2), 64, 8
WORKERS = (1, 2)


def layouts(step: Pretrain) -> Iterator[tuple[str, Pretrain]]:
    """The same training, laid out in every way; the plain loop with one worker first."""
    for name, engines in {"plain": PlainEngines(), **{f"ZeRO {stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}}.items():
        for workers in WORKERS:
            yield name, replace(step, engines=engines, workers=workers, micro_batch=2)


@dataclass(frozen=True)
class Course:
    """What a layout came to."""

    losses: "Array"
    weights: "Mapping[str, Array]"

    def beside(self, plain: "Course") -> dict[str, Any]:
        """How far it is from the plain one."""
        apart = {name: float(abs(self.weights[name] - weight).max()) for name, weight in plain.weights.items()}
        return {
            "last loss": round(self.losses[-1], 7),
            "losses, relative": float(f"{max(abs(self.losses / plain.losses - 1)):.2g}"),
            "weights, absolute": float(f"{max(apart.values()):.2g}"),
            "bitwise": bool((self.losses == plain.losses).all() and not any(apart.values())),
        }


def trained(step: Pretrain, executor: Executor, root: str) -> Course:
    """Train a layout: all have one address, so what an earlier one left goes."""
    from numpy import array
    from safetensors.numpy import load_file

    store = open_store(root)
    store.delete(f"{step.address}/manifest.json")
    run([step], store, executor)
    made = open_artifact(store, step)
    return Course(array([row["loss"] for row in made.metrics()]), load_file(made.model / "model.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", default=f"{sysconfig.get_path('stdlib')}/asyncio", help="text to train on")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    whole = recipe(options.location, options.steps)
    step = replace(whole, model=MODEL, context=CONTEXT, batch=BATCH, token_budget=options.steps * BATCH * CONTEXT)
    with tempfile.TemporaryDirectory(prefix="millrace-") as root:
        run([part.tokens for part in step.mixture], open_store(root), InlineExecutor())
        with cluster("local", max(WORKERS)) as executor:
            found = [(name, layout.workers, trained(layout, executor, root)) for name, layout in layouts(step)]
    (_, _, plain), *_ = found
    rows = [{"engine": name, "workers": workers, **course.beside(plain)} for name, workers, course in found]
    weight = round(max(float(abs(weights).max()) for weights in plain.weights.values()), 3)
    save("layouts", rows, model=repr(MODEL), context=CONTEXT, batch=BATCH, steps=options.steps, greatest_weight=weight)


if __name__ == "__main__":
    main()
