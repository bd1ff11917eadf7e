"""Training tokens a second: a whole Pretrain step against bare loops around the same model and around transformers' own.

    python -m benchmarks.train [--location FOLDER] [--threads 1] [--steps 40] [--runs 3]

"millrace Pretrain" reads packed windows from memory-mapped shards, keeps attention inside documents, checks losses and
writes metrics. The bare loops train on windows that are in memory, do nothing else, and attend over the whole window; the last
one is transformers' LlamaForCausalLM of the same shape. A run's figure is that of its median step after five, so that neither
start-up nor a busy moment counts; of the runs, taken in turn, the median is told.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measuring import own_peak_mb, save
from pipeline.batches.mixture import Weighted
from pipeline.models.llama import Llama
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.storage import open_store
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

WARM_UP = 5
OURS, BARE, PEER = "millrace Pretrain", "bare loop, the same model", "bare loop, transformers"


def recipe(location: str, steps: int) -> Pretrain:
    """A small model on a small corpus."""
    documents = Ingest(source=source_at(location))
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=2048))
    return Pretrain(
        mixture=(Weighted(tokens),), model=Llama(), context=256, batch=8, token_budget=steps * 8 * 256, validate_every=steps + 1
    )


def ours(step: Pretrain, root: str) -> list[float]:
    store = open_store(root)
    store.delete(f"{step.address}/manifest.json")
    manifest = run([step], store, InlineExecutor()).manifests[step.address]
    return [row["tokens_per_second"] for row in Checkpoint(store, manifest).metrics()]


def bare(step: Pretrain, loss_of: Callable[[Any, Any, Any], Any], model: Any) -> list[float]:
    """Forward, backward, clip, update; nothing else."""
    import torch

    optimizer = step.update.optimizer.build(model)
    windows = torch.randint(2048, (step.steps, step.batch, step.context + 1))
    paces = []
    for window in windows:
        started = time.perf_counter()
        loss_of(model, window[:, :-1], window[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        paces.append(step.batch * step.context / (time.perf_counter() - started))
    return paces


def paces_of(tool: str, step: Pretrain, root: str) -> list[float]:
    """The tokens a second of every step."""
    if tool == OURS:
        return ours(step, root)
    if tool == BARE:
        return bare(step, lambda model, tokens, targets: model(tokens, targets), step.model.build(2048, step.context))
    from torch.nn import functional
    from transformers import LlamaConfig, LlamaForCausalLM

    config = dict(step.model.export({}, 2048, step.context).config)
    theirs = LlamaForCausalLM(LlamaConfig(**config))
    return bare(
        step, lambda model, tokens, targets: functional.cross_entropy(model(tokens).logits.flatten(0, 1), targets.flatten()), theirs
    )


def child(tool: str, root: str) -> dict[str, float]:
    """Run this script once more for one tool."""
    threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    command = [sys.executable, "-m", "benchmarks.train", *sys.argv[1:], "--only", tool, "--root", root]
    output = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": threads}, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--location", default=sysconfig.get_path("stdlib") + "/asyncio")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    step = recipe(options.location, options.steps)
    if options.only:
        pace = statistics.median(paces_of(options.only, step, options.root)[WARM_UP:])
        print(json.dumps({"tokens_per_second": round(pace), "peak_mb": own_peak_mb()}))
        return
    found: dict[str, list[dict[str, float]]] = {tool: [] for tool in (OURS, BARE, PEER)}
    with tempfile.TemporaryDirectory() as root:
        run([part.tokens for part in step.mixture], open_store(root), InlineExecutor())
        for _ in range(options.runs):
            for tool, costs in found.items():
                costs.append(child(tool, root))
    rows = [{"tool": tool, **{name: statistics.median(cost[name] for cost in costs) for name in costs[0]}} for tool, costs in found.items()]
    save("train", rows, model=repr(step.model), context=step.context, batch=step.batch, threads=options.threads, runs=options.runs)


if __name__ == "__main__":
    main()
