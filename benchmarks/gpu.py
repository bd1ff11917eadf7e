"""Share of an accelerator's peak (MFU) that pretraining reaches in bf16, beside plain PyTorch loops around the same shape of model.

    python -m benchmarks.gpu [--micro-batch 16] [--batch 64] [--steps 25] [--runs 3]

A Llama of 1.04 billion parameters on windows of 2,048 tokens, on one GPU. "millrace" is a whole Pretrain step under DeepSpeed ZeRO 1, with
attention that sees all of a window, as the loops' does, and with attention that stays inside documents. The loops are as nanoGPT has them:
weights in fp32, products in bf16, PyTorch's fused AdamW, the windows in memory, nothing else done; one runs the same model, one
transformers' LlamaForCausalLM compiled by torch.compile. Each has a process of its own, and takes the greatest micro-batch that fits, found
by halving. A run's figure is that of its median step after five; of the runs, taken in turn, the median is told. FLOPs are the model's
own count and the peak is the maker's data sheet for all of them.

Without a GPU, a small model goes through the same on the CPU, so that one sees that all of it works: its figures say nothing of a GPU, and
are not written to the results.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.measuring import save, show
from infra.deepspeed_engine import DeepSpeedEngines
from pipeline.batches.mixture import Weighted
from pipeline.models.llama import Llama
from pipeline.objectives.next_token import NextToken
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.storage import open_store
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.engine import Update
from pipeline.train.peak import peak
from pipeline.train.plain import own_device
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run

WARM_UP = 5
WHOLE, INSIDE = "millrace, ZeRO 1", "millrace, ZeRO 1, attention inside documents"
BARE, COMPILED = "bare loop, the same model", "bare loop, transformers, compiled"
TOO_LARGE = 3
"""The exit status of a process that had no room."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is trained."""

    model: Llama
    context: int
    vocab_size: int
    text: str


LARGE = Size(
    model=Llama(dim=2048, depth=16, heads=32, key_value_heads=8, hidden=8192),
    context=2048,
    vocab_size=32_768,
    text=sysconfig.get_path("stdlib"),
)
SMALL = Size(model=Llama(dim=64, depth=2, heads=4, key_value_heads=2), context=128, vocab_size=512, text=f"{LARGE.text}/asyncio")


def recipe(size: Size, batch: int, micro_batch: int, steps: int) -> Pretrain:
    """Real text, so that documents are as long as they are."""
    documents = Ingest(source=source_at(size.text))
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=size.vocab_size))
    return Pretrain(
        mixture=(Weighted(tokens),),
        model=size.model,
        context=size.context,
        batch=batch,
        token_budget=steps * batch * size.context,
        update=Update(precision="bf16"),
        engines=DeepSpeedEngines(zero=1),
        micro_batch=micro_batch,
        validate_every=steps + 1,
        save_every=steps + 1,
    )


def ours(step: Pretrain, root: str) -> list[float]:
    store = open_store(root)
    store.delete(f"{step.address}/manifest.json")
    manifest = run([step], store, InlineExecutor()).manifests[step.address]
    return [row["tokens_per_second"] for row in Checkpoint(store, manifest).metrics()]


def bare(step: Pretrain, vocab_size: int, model: Any, loss_of: Callable[[Any, Any, Any], Any]) -> list[float]:
    """Forward and backward by micro-batches, clip, update; nothing else."""
    import torch

    device = own_device()
    model.to(device)
    optimizer = step.update.optimizer.build(model)
    parts, paces = step.batch // step.rows(1), list[float]()
    for _ in range(step.steps):
        windows = torch.randint(vocab_size, (parts, step.rows(1), step.context + 1), device=device)
        started = time.perf_counter()
        for window in windows:
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(model, window[:, :-1], window[:, 1:])
            (loss / parts).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()  # waits for the device
        optimizer.step()
        optimizer.zero_grad()
        paces.append(step.batch * step.context / (time.perf_counter() - started))
    return paces


def compiled(step: Pretrain, vocab_size: int) -> list[float]:
    import torch
    from torch.nn import functional
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**dict(step.model.export({}, vocab_size, step.context).config)))

    def loss_of(model: Any, tokens: Any, targets: Any) -> Any:
        return functional.cross_entropy(model(tokens, use_cache=False).logits.flatten(0, 1), targets.flatten())

    return bare(step, vocab_size, model, torch.compile(loss_of))


def paces_of(tool: str, step: Pretrain, size: Size, root: str) -> list[float]:
    """The tokens a second of every step."""
    if tool in (WHOLE, INSIDE):
        return ours(replace(step, attend="window" if tool == WHOLE else "document"), root)
    if tool == BARE:
        return bare(step, size.vocab_size, step.model.build(size.vocab_size, step.context), lambda model, *window: model(*window))
    return compiled(step, size.vocab_size)


def has_no_room(problem: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, says that the device's memory is full."""
    import torch

    return problem is not None and (isinstance(problem, torch.OutOfMemoryError) or has_no_room(problem.__cause__ or problem.__context__))


def measure(tool: str, step: Pretrain, size: Size, root: str) -> None:
    """In a process of its own: one line of JSON, or the exit status for too large a micro-batch."""
    import torch

    try:
        pace = statistics.median(paces_of(tool, step, size, root)[WARM_UP:])
    except Exception as problem:
        if has_no_room(problem):
            raise SystemExit(TOO_LARGE) from None
        raise
    device = own_device()
    top, flops = peak(device, "bf16"), size.model.flops_for(NextToken(), size.vocab_size, size.context)
    memory = torch.cuda.max_memory_reserved(device) / 2**30 if device.type == "cuda" else 0.0
    told = {"tokens_per_second": round(pace), "mfu": round(pace * flops / top.flops, 4), "gib": round(memory, 1), "device": top.device}
    print(json.dumps(told))


def child(tool: str, micro_batch: int, root: str) -> dict[str, Any] | None:
    """Run this script once more for one tool; None where it had no room."""
    command = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:], "--only", tool, "--root", root, "--micro-batch", str(micro_batch)]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | {"WANDB_MODE": "disabled"})
    if done.returncode == TOO_LARGE:
        return None
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fitting(tool: str, micro_batch: int, root: str) -> tuple[int, dict[str, Any]]:
    """The greatest micro-batch that fits, halving from the one given, and what came of it."""
    while micro_batch:
        found = child(tool, micro_batch, root)
        if found is not None:
            return micro_batch, found
        micro_batch //= 2
    raise SystemExit(f"{tool}: one window has no room on this GPU")


def rows_of(runs: int, micro_batch: int, root: str) -> list[dict[str, Any]]:
    """The medians of all tools, which are taken in turn."""
    found: dict[str, list[dict[str, Any]]] = {tool: [] for tool in (WHOLE, INSIDE, BARE, COMPILED)}
    fits = dict.fromkeys(found, micro_batch)
    for _ in range(runs):
        for tool, told in found.items():
            fits[tool], row = fitting(tool, fits[tool], root)
            told.append(row)
    return [{"tool": tool, "device": told[0]["device"], "micro_batch": fits[tool], **medians(told)} for tool, told in found.items()]


def medians(told: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in told) for name in ("tokens_per_second", "mfu", "gib")}


def versions() -> dict[str, str]:
    import deepspeed
    import torch
    import transformers

    return {module.__name__: module.__version__ for module in (torch, deepspeed, transformers)}


def main() -> None:
    import torch

    options = _options()
    on_gpu = torch.cuda.is_available()
    size = LARGE if on_gpu else SMALL
    step = recipe(size, options.batch, options.micro_batch, options.steps)
    if options.only:
        measure(options.only, step, size, options.root)
        return
    if not on_gpu:
        print("There is no GPU here: a small model on the CPU goes through the same. Nothing of this is written to the results.")
    with tempfile.TemporaryDirectory() as root:
        run([part.tokens for part in step.mixture], open_store(root), InlineExecutor())
        rows = rows_of(options.runs, options.micro_batch, root)
    if not on_gpu:
        show(rows)
        return
    about = {"model": repr(size.model), "context": size.context, "batch": options.batch, "versions": versions()}
    save("gpu", rows, command=" ".join(["python -m benchmarks.gpu", *sys.argv[1:]]), **about)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--micro-batch", type=int, default=16, help="windows at once, to begin with")
    parser.add_argument("--batch", type=int, default=64, help="windows in a step")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps is {options.steps}: use more than {WARM_UP}, which are not counted")
    return options


if __name__ == "__main__":
    main()
