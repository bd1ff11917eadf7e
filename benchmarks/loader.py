"""Batches of training windows in random order, on one core, against a bare memory map and litdata, in one run.

    python -m benchmarks.loader LOCATION [--context 1024] [--batch 32] [--seconds 3]

LOCATION is a file, folder or glob of documents, tokenized once. "bare memory map" is nanoGPT's loader: windows at random
places of one flat file, without documents, epochs or a way back; litdata is left out where it is not installed
(pip install litdata). Tokens are counted as inputs. Memory is what each adds, of its own and with mapped file pages.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import save
from benchmarks.tokenization import ONE_THREAD, memory_mb
from pipeline.batches.mixture import Weighted
from pipeline.batches.order import Order
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.storage import open_store
from pipeline.tokens.shards import TRAIN
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact

OURS = "millrace Order"
TOOLS = {OURS: "pipeline", "bare memory map": "numpy", "litdata": "litdata"}
"""Each with the package that it needs."""
Batches = Iterator[Any]


def ours(tokens: Tokenize, root: str, context: int, batch: int) -> Batches:
    order = Order((Weighted(tokens),), [open_artifact(open_store(root), tokens)], context, batch, 0)
    step = 0
    while True:
        yield order.batch(step).tokens
        step += 1


def bare(flat: Path, context: int, batch: int) -> Batches:
    data, draw = np.memmap(flat, np.uint16, "r"), np.random.default_rng(0)
    while True:
        starts = draw.integers(0, len(data) - context - 1, batch)
        yield np.stack([data[start : start + context + 1].astype(np.int64) for start in starts])


def litdata(flat: Path, context: int, batch: int) -> Batches:
    import torch
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    folder = flat.parent / "litdata"
    data = np.fromfile(flat, np.uint16)
    writer = BinaryWriter(str(folder), chunk_size=(1 << 12) * (context + 1), item_loader=TokensLoader(context + 1))
    for number, start in enumerate(range(0, len(data), 4096)):
        writer.add_item(number, torch.from_numpy(data[start : start + 4096].astype(np.int32)))
    writer.done()
    writer.merge()
    while True:
        dataset = StreamingDataset(str(folder), item_loader=TokensLoader(context + 1), shuffle=True, seed=0)
        yield from StreamingDataLoader(dataset, batch_size=batch)


def timed(make: Callable[[], Batches], options: argparse.Namespace) -> dict[str, float]:
    """Tokens a second, start-up and memory."""
    before, started = memory_mb(), time.perf_counter()
    batches = make()
    next(batches)
    first, wall, cpu, steps = time.perf_counter() - started, time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < options.seconds:
        next(batches)
        steps += 1
    spent, after = time.process_time() - cpu, memory_mb()
    return {
        "tokens_per_core_second": round(steps * options.batch * options.context / spent),
        "microseconds_per_row": round(spent / steps / options.batch * 1e6, 1),
        "first_batch_seconds": round(first, 3),
        "own_mb": round(after["own"] - before["own"], 1),
        "with_mapped_mb": round(after["resident"] - before["resident"], 1),
    }


def child(tool: str, root: str) -> dict[str, Any]:
    """Run this script once more for one tool."""
    command = [sys.executable, "-m", "benchmarks.loader", *sys.argv[1:], "--only", tool, "--root", root]
    output = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, stdout=subprocess.PIPE).stdout
    return {"tool": tool, **json.loads(output.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("location")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    documents = Ingest(source=source_at(options.location))
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=16_384, sample_bytes=8 << 20))
    if options.only:
        flat = Path(options.root, "flat.bin")
        sizes = (options.context, options.batch)
        make = {OURS: lambda: ours(tokens, options.root, *sizes), "litdata": lambda: litdata(flat, *sizes)}
        print(json.dumps(timed(make.get(options.only, lambda: bare(flat, *sizes)), options)))
        return
    with tempfile.TemporaryDirectory() as root:
        run([tokens], open_store(root), InlineExecutor())
        shards = open_artifact(open_store(root), tokens)
        np.concatenate([batch.column("tokens").values.to_numpy() for batch in shards.batches(TRAIN)]).tofile(Path(root, "flat.bin"))
        rows = [child(tool, root) for tool, package in TOOLS.items() if importlib.util.find_spec(package)]
        facts = shards.facts
    about = {"context": options.context, "batch": options.batch, "tokens": facts["tokens"][TRAIN], "documents": facts["documents"][TRAIN]}
    save("loader", rows, **about)


if __name__ == "__main__":
    main()
