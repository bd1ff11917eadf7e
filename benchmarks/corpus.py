"""Raw JSON lines to token shards, and near-duplicate removal alone, against named peers, in one run.

    python -m benchmarks.corpus CORPUS [--peers PYTHON] [--runs 3] [--part FOLDER] [--tenfold FOLDER]

CORPUS is a folder of *.jsonl with `id` and `text`. PYTHON is an interpreter that has the peers
(pip install 'datatrove[processing]==0.10.1' spacy datasketch rensa gaoya), since their pins disagree with ours.
datatrove, which takes an hour for what the others do in a minute, is given a part of the corpus, if there is one as --part;
then Millrace is measured on that part too, and the row says so.
Every figure is of whole processes, start-up included, on one core, but for "the step": from documents in shards to kept documents and
ledger. Medians of the runs. `--tenfold` names a folder for a corpus of ten times the size (the same documents with their words in other
orders, as in the benchmark of refreshes), on which the step is measured too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measuring import Cost, measure, row, save, single_threaded
from benchmarks.refresh import grown

HERE = Path(__file__).parent
PROJECT = HERE.parent


def ours(corpus: str) -> Cost:
    with tempfile.TemporaryDirectory() as root:
        command = [
            sys.executable,
            str(PROJECT / "jobs/corpus.py"),
            "python_library",
            "--sources",
            corpus,
            "--cluster",
            "none",
            "--root",
            root,
        ]
        return measure(command, WANDB_MODE="disabled")


def our_dedup(corpus: str) -> Cost:
    with tempfile.TemporaryDirectory() as work:
        return measure([sys.executable, str(HERE / "dedup.py"), corpus, f"{work}/dedup"], PYTHONPATH=str(PROJECT))


def our_dedup_step(corpus: str) -> Cost:
    """The step alone, by its own account; the memory is that of the whole process."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "benchmarks.dedup", corpus, f"{work}/dedup"]
        told = json.loads(subprocess.run(command, cwd=PROJECT, env=single_threaded(), check=True, stdout=subprocess.PIPE).stdout)
    return Cost(told["cpu_seconds"], told["wall_seconds"], told["peak_mb"])


def datatrove(python: str, tokenizer: str | None, corpus: str) -> Cost:
    with tempfile.TemporaryDirectory() as work:
        return measure([python, str(HERE / "peers/datatrove_corpus.py"), corpus, work, *([tokenizer] if tokenizer else [])])


def signatures(python: str, library: str, corpus: str) -> Cost:
    return measure([python, str(HERE / "peers/dedup_signatures.py"), library, corpus])


def median(costs: list[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.cpu_seconds)[len(costs) // 2] if len(costs) > 1 else costs[0]


def tenfold(corpus: str, folder: Path) -> Path:
    """A corpus of ten times the size, made once."""
    if not folder.exists():
        folder.mkdir(parents=True)
        grown(Path(corpus), folder, 10)
    return folder


def size_of(folder: str) -> float:
    """The size of a corpus in MB."""
    return sum(place.stat().st_size for place in Path(folder).glob("*.jsonl")) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--peers")
    parser.add_argument("--part", help="a smaller corpus for datatrove")
    parser.add_argument("--tokenizer", help="a tokenizer.json for datatrove's token stage")
    parser.add_argument("--tenfold", type=Path, help="a folder for a corpus of ten times the size, made there if it is new")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    tools = {"millrace corpus": (options.corpus, ours), "millrace dedup, verified": (options.corpus, our_dedup)}
    tools["millrace dedup, verified, the step"] = (options.corpus, our_dedup_step)
    if options.tenfold:
        tools["millrace dedup, verified, the step, tenfold"] = (str(tenfold(options.corpus, options.tenfold)), our_dedup_step)
    if options.peers:
        for library in ("gaoya", "rensa", "datasketch"):
            tools[f"{library} dedup"] = (options.corpus, partial(signatures, options.peers, library))
        if options.tokenizer:
            part = options.part or options.corpus
            tools["datatrove dedup"] = (part, partial(datatrove, options.peers, None))
            tools["datatrove corpus"] = (part, partial(datatrove, options.peers, options.tokenizer))
        if options.part:
            tools |= {f"{tool}, the part": (options.part, work) for tool, (_, work) in list(tools.items())[:3]}
    costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
    for _ in range(options.runs):
        for tool, (corpus, work) in tools.items():
            costs[tool].append(work(corpus))
    rows = [
        {**row(tool, size_of(tools[tool][0]), median(found)), "megabytes": round(size_of(tools[tool][0]), 1)}
        for tool, found in costs.items()
    ]
    save("corpus", rows, runs=options.runs, spread=_spread(costs))


def _spread(costs: dict[str, list[Cost]]) -> dict[str, float]:
    """How far the CPU seconds of a tool's runs lie apart, as a share of their median."""
    return {
        tool: round(
            (max(c.cpu_seconds for c in found) - min(c.cpu_seconds for c in found)) / statistics.median(c.cpu_seconds for c in found), 3
        )
        for tool, found in costs.items()
    }


if __name__ == "__main__":
    main()
