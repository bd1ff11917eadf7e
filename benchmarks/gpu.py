"""MFU of pretraining on one GPU in bf16, beside a plain PyTorch loop of the same model: a billion parameters, windows of 2,048 tokens.

    python -m benchmarks.gpu [--tokens-in-step 131072] [--steps 10]

"millrace Pretrain" is the step itself under DeepSpeed's ZeRO 1, on memory-mapped shards of random tokens: with attention inside documents,
which are 600 tokens long on average, and over whole windows. The plain loop does what nanoGPT and torchtitan do on one device: it
compiles the model with its head, keeps weights in fp32 under autocast, has causal scaled_dot_product_attention, the logits of a whole
micro-batch and fused AdamW, and its tokens are in memory. Each tool has a process of its own, takes as many windows at once as fit
(halved until they do), and is told by its median step. Operations are the project's own count, peaks its own table. Where there is no
GPU, all of it is run at a small size, uncompiled, and nothing is written: such figures say only that it works.
"""

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.measuring import save, show
from benchmarks.random_tokens import RandomTokens
from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.batches.mixture import Weighted
from pipeline.models.llama import Llama
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.storage import open_store
from pipeline.tokens.split import Split
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.engine import Update
from pipeline.train.gauges import memory_gauge
from pipeline.train.loop import mfu
from pipeline.train.peak import peak
from pipeline.train.plain import own_device
from pipeline.train.pretrain import Pretrain
from pipeline.train.trial import WARMING, Trial
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

INSIDE, WHOLE, PLAIN = "millrace Pretrain, inside documents", "millrace Pretrain, whole windows", "plain PyTorch loop"
TOOLS = (INSIDE, WHOLE, PLAIN)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is trained where."""

    model: Llama
    vocabulary: int
    context: int
    tokens_in_step: int
    steps: int


LARGE = Size(
    model=Llama(dim=2048, depth=22, heads=16, key_value_heads=4, hidden=5632, tied=False),  # TinyLlama's, with wider heads
    vocabulary=32_000,
    context=2048,
    tokens_in_step=131_072,
    steps=10,
)
SMALL = Size(model=Llama(dim=64, depth=2, heads=4, key_value_heads=2), vocabulary=512, context=64, tokens_in_step=512, steps=3)


def recipe(size: Size, micro_batch: int) -> Pretrain:
    """The training that all tools do."""
    steps, split = WARMING + size.steps, Split(fraction=0.0)
    documents = Ingest(source=source_at(sysconfig.get_path("stdlib") + "/json"))
    tokenizer = TrainTokenizer(documents=documents, vocab_size=300, split=split)
    tokens = RandomTokens(tokenizer=tokenizer, vocabulary=size.vocabulary, tokens=(steps + 1) * size.tokens_in_step, split=split)
    return Pretrain(
        mixture=(Weighted(tokens),),
        model=size.model,
        context=size.context,
        batch=size.tokens_in_step // size.context,
        token_budget=steps * size.tokens_in_step,
        update=Update(precision="bf16"),
        engines=DeepSpeedEngines(zero=1),
        micro_batch=micro_batch,
    )


def measured(tool: str, step: Pretrain, size: Size, root: str) -> dict[str, Any]:
    """A row of results; `fits` alone, and false, where the device has no room."""
    import torch

    try:
        found = plain(step, size) if tool == PLAIN else ours(replace(step, attend="document" if tool == INSIDE else "window"), size, root)
    except torch.OutOfMemoryError:
        return {"fits": False}
    top = peak(own_device(), "bf16")
    pace, flops = found["tokens_per_second"], step.model.flops_for(step.objective, size.vocabulary, size.context)
    return {
        "fits": True,
        "tool": tool,
        "micro_batch": step.rows(1),
        "tokens_per_second": pace,
        "mfu": mfu(pace, flops, top, 1),
        "peak_gb": None if found["peak_bytes"] is None else round(found["peak_bytes"] / 1e9, 2),
        "of": top.source,
        "device": top.device,
    }


def ours(step: Pretrain, size: Size, root: str) -> dict[str, Any]:
    trial = Trial.of(step, size.steps, "this one")
    return dict(run([trial], open_store(root), InlineExecutor()).manifests[trial.address].facts)


def plain(step: Pretrain, size: Size) -> dict[str, Any]:
    """Forward, backward, clip, update; nothing else."""
    import torch

    torch.manual_seed(0)
    device, rows = own_device(), step.rows(1)
    model: Any = step.model.build(size.vocabulary, size.context).to(device)
    optimizer, peak_bytes = step.update.optimizer.build(model), memory_gauge(device)
    loss_of = whole_loss(model) if device.type == "cpu" else torch.compile(whole_loss(model))
    windows, paces = torch.randint(size.vocabulary, (step.steps, step.batch, step.context + 1), device=device), []
    for step_windows in windows:
        started = time.perf_counter()
        for part in step_windows.split(rows):
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(part[:, :-1], part[:, 1:])
            (loss * rows / step.batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), step.update.clip)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device, which does one thing after the other
        paces.append(step.batch * step.context / (time.perf_counter() - started))
    return {"tokens_per_second": round(median(paces[WARMING:]), 1), "peak_bytes": peak_bytes()}


def whole_loss(model: Any) -> Callable[[Any, Any], Any]:
    """The model's loss from the logits of all tokens at once."""
    from torch.nn import functional

    def loss_of(tokens: Any, targets: Any) -> Any:
        logits = functional.linear(model.model(tokens), model.lm_head.weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    return loss_of


def that_fits(trial: Callable[[int], dict[str, Any]], windows: int) -> dict[str, Any]:
    """The row of the first of `windows`, half of them, and so on, for which there is room."""
    while windows:
        row = trial(windows)
        if row.pop("fits"):
            return row
        windows //= 2
    raise RuntimeError("not even one window fits into the device's memory: use one with more")


def child(tool: str, root: str, micro_batch: int) -> dict[str, Any]:
    """Run this script once more for one tool, since what did not fit leaves its memory in pieces."""
    command = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:], "--only", tool, "--root", root, "--micro-batch", str(micro_batch)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def chosen_size(options: argparse.Namespace, there: bool) -> Size:
    """The size for a GPU where one is there, else the small one; with what was asked for."""
    size = LARGE if there else SMALL
    asked = {name: value for name in ("tokens_in_step", "steps") if (value := getattr(options, name)) is not None}
    return replace(size, **asked)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens-in-step", type=int, help=f"{LARGE.tokens_in_step:,} unless told otherwise")
    parser.add_argument("--steps", type=int, help=f"that count, after {WARMING} to warm up; {LARGE.steps} unless told otherwise")
    parser.add_argument("--micro-batch", type=int, default=64, help="windows to try first")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    there = torch.cuda.is_available()
    size = chosen_size(options, there)
    if options.only:
        print(json.dumps(measured(options.only, recipe(size, options.micro_batch), size, options.root)))
        return
    with tempfile.TemporaryDirectory() as root:
        step = recipe(size, options.micro_batch)
        run([part.tokens for part in step.mixture], open_store(root), InlineExecutor())
        first = min(options.micro_batch, step.batch)
        rows = [that_fits(partial(child, tool, root), first) for tool in TOOLS]
    if not there:
        show(rows)
        print(f"\nThere is no GPU here. This was {size.model} on the CPU, to see that it works; nothing was written.")
        return
    packages = {name: version(name) for name in ("torch", "deepspeed")}
    versions = {**packages, "cuda": torch.version.cuda}
    command = " ".join(["python -m benchmarks.gpu", *sys.argv[1:]])
    save("gpu", rows, model=repr(size.model), context=size.context, tokens_in_step=size.tokens_in_step, versions=versions, command=command)


if __name__ == "__main__":
    main()
