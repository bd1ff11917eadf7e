"""Tokenization of documents on one core, against the bare encoders and datasets.map, with one tokenizer and in one run.

    python -m benchmarks.tokenization LOCATION [--vocab-size 16384] [--megabytes 40] [--runs 3]

LOCATION is a file, folder or glob of documents. "millrace Tokenize" is the whole step: reading documents, encoding,
comparing with the reference, writing checked shards. The bare encoders get texts that are in memory, and keep ids alone.
No tool's time has its imports or the loading of its tokenizer.
Peers that are not installed are left out: pip install gigatoken. CPU seconds; medians.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.measuring import save
from pipeline.documents import Documents, Tally, write_documents
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.storage import open_store
from pipeline.tokens.encoder import open_encoders
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit, open_artifact

ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_THREADS": "1"}
OURS = "millrace Tokenize"
TOOLS = {OURS: "pipeline", "datasets.map": "datasets", "tokenizers": "tokenizers", "fastokens": "fastokens", "gigatoken": "gigatoken"}
"""Each with the package that it needs."""
BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Beginning(Step[Documents]):
    """The first megabytes of a corpus, so that every tool gets the same texts."""

    artifact: ClassVar[type[Artifact]] = Documents
    documents: Step[Documents]
    megabytes: int

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.cut, (None,))
        return receipt.facts

    def cut(self, unit: Unit, _: None) -> Facts:
        documents, tally, size = unit.open(self.documents), Tally(), 0
        kept = []
        for document in (document for shard in documents.shards for document in documents.read(shard)):
            size += len(document.text.encode())
            if size > self.megabytes * 1_000_000:
                break
            tally.keep(document)
            kept.append(document)
        write_documents(unit, kept)
        return tally.facts()


def work_of(tool: str, tokens: Tokenize, root: str, folder: Path) -> Callable[[], object]:
    """What is timed of a tool; what comes before it is done here."""
    store = open_store(root)
    place = open_artifact(store, tokens.tokenizer).path / "tokenizer.json"
    if tool == OURS:
        open_encoders(place)
        return lambda: run([tokens], store, InlineExecutor())
    documents = open_artifact(store, tokens.documents)
    texts = [text for shard in documents.shards for batch in documents.batches(shard) for text in batch.column("text").to_pylist()]
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    if tool == "tokenizers":
        reference = open_encoders(place).reference
        return lambda: [reference.encode_batch(batch) for batch in batches]
    if tool == "fastokens":
        from fastokens import Tokenizer

        fast = Tokenizer.from_file(str(place))
        return lambda: [fast.encode_batch_flat(batch, split_special_tokens=True) for batch in batches]
    if tool == "gigatoken":
        import gigatoken

        giga = gigatoken.Tokenizer(str(place))
        return lambda: [giga.encode_batch(batch, parallel=False) for batch in batches]
    return datasets_map(texts, place, folder)


def datasets_map(texts: list[str], place: Path, folder: Path) -> Callable[[], object]:
    """The usual way with datasets and transformers: texts on disk, ids in a cached Arrow file."""
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(place))
    Dataset.from_dict({"text": texts}).save_to_disk(folder / "dataset")
    dataset = Dataset.load_from_disk(str(folder / "dataset"))
    return lambda: dataset.map(lambda rows: {"ids": tokenizer(rows["text"])["input_ids"]}, batched=True, remove_columns=["text"])


def timed(tool: str, tokens: Tokenize, root: str) -> None:
    """A child's part: do the work and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        work, before = work_of(tool, tokens, root, Path(folder)), memory_mb()["peak"]
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        cost = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        print(json.dumps({**cost, "peak_mb": memory_mb()["peak"], "before_mb": before}))


def memory_mb() -> dict[str, float]:
    """This process's memory: resident, at its peak, and what of it is no mapped file (not inherited, as getrusage's is)."""
    names = {"VmRSS": "resident", "VmHWM": "peak", "RssAnon": "own"}
    rows = (line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {names[name]: int(value.split()[0]) / 1000 for name, value, *_ in rows if name in names}


def child(tool: str, root: str) -> dict[str, float]:
    """Run this script once more for one tool."""
    command = [sys.executable, "-m", "benchmarks.tokenization", *sys.argv[1:], "--only", tool, "--root", root]
    output = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("location")
    parser.add_argument("--vocab-size", type=int, default=16384)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    documents = Beginning(documents=Ingest(source=source_at(options.location)), megabytes=options.megabytes)
    tokenizer = TrainTokenizer(documents=documents, vocab_size=options.vocab_size, sample_bytes=8 << 20)
    tokens = Tokenize(documents=documents, tokenizer=tokenizer)
    if options.only:
        timed(options.only, tokens, options.root)
        return
    found: dict[str, list[dict[str, float]]] = {tool: [] for tool, package in TOOLS.items() if importlib.util.find_spec(package)}
    with tempfile.TemporaryDirectory() as root:
        run([tokens], open_store(root), InlineExecutor())
        facts = open_artifact(open_store(root), tokens).facts
        for _ in range(options.runs):
            for tool, costs in found.items():
                if tool == OURS:
                    shutil.rmtree(Path(root, tokens.address))
                costs.append(child(tool, root))
    megabytes = sum(facts["bytes"].values()) / 1e6
    rows = [row_of(tool, megabytes, costs) for tool, costs in found.items()]
    save("tokenization", rows, megabytes=round(megabytes, 1), documents=facts["read"], vocabulary=options.vocab_size, runs=options.runs)


def row_of(tool: str, megabytes: float, costs: list[dict[str, float]]) -> dict[str, Any]:
    """A tool's medians."""
    medians = {name: round(statistics.median(cost[name] for cost in costs), 2) for name in costs[0]}
    return {"tool": tool, "mb_per_core_second": round(megabytes / medians["cpu_seconds"], 2), **medians}


if __name__ == "__main__":
    main()
