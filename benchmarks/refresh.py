"""What a refresh costs beside the full build of the same corpus: with no change, and with one percent of new files.

    python -m benchmarks.refresh CORPUS [--runs 3] [--times 1]

CORPUS is a folder of *.jsonl with `text`. It is copied; `--times` makes it so many times as large, by documents in which the same
words stand in another order. New documents are such ones too, but for every twentieth, which is an old one with a word more.
Figures are of whole processes on one core: what a process costs before it does anything is in them, and told by the row "no change".
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Cost, measure, row, save

PROJECT = Path(__file__).parents[1]
SHARE = 100
COPIED = 20


def strided(text: str, stride: int) -> str:
    """The words of a text in another order, so that it is like no other."""
    words = text.split(" ")
    return " ".join(word for start in range(stride) for word in words[start::stride])


def lines(corpus: Path) -> Iterator[dict[str, object]]:
    for place in sorted(corpus.glob("*.jsonl")):
        with open(place, encoding="utf-8") as file:
            yield from map(json.loads, file)


def grown(corpus: Path, folder: Path, times: int) -> None:
    """The corpus in a folder of its own, so many times as large."""
    for place in sorted(corpus.glob("*.jsonl")):
        shutil.copy(place, folder / place.name)
        for stride in range(2, times + 1):
            with open(place, encoding="utf-8") as old, open(folder / f"{place.stem}-{stride}.jsonl", "w", encoding="utf-8") as new:
                for document in map(json.loads, old):
                    new.write(json.dumps({**document, "text": strided(document["text"], stride)}, ensure_ascii=False) + "\n")


def add(corpus: Path, folder: Path, size: int, number: int) -> None:
    """A new file of about `size` bytes."""
    with open(folder / f"new-{number}.jsonl", "w", encoding="utf-8") as file:
        for place, document in enumerate(lines(corpus)):
            text = str(document["text"])
            document["text"] = strided(text, 50 + number) if place % COPIED else f"{text} {number}"
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
            if file.tell() >= size:
                return


def refreshed(folder: Path, root: Path) -> Cost:
    command = [sys.executable, str(PROJECT / "jobs/refresh.py"), "tiny", "--sources", str(folder), "--root", str(root)]
    return measure([*command, "--cluster", "none", "--vocab-size", "32768"], WANDB_MODE="disabled")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    costs: dict[str, list[Cost]] = {"full build": [], "no change": [], "1 % of new files": []}
    with tempfile.TemporaryDirectory() as work:
        folder, root = Path(work, "corpus"), Path(work, "root")
        folder.mkdir()
        grown(options.corpus, folder, options.times)
        size = sum(place.stat().st_size for place in folder.iterdir())
        costs["full build"].append(refreshed(folder, root))
        for number in range(options.runs):
            costs["no change"].append(refreshed(folder, root))
            add(options.corpus, folder, size // SHARE, number)
            costs["1 % of new files"].append(refreshed(folder, root))
    full = costs["full build"][0].cpu_seconds
    rows = []
    for tool, found in costs.items():
        middle = sorted(found, key=lambda cost: cost.cpu_seconds)[len(found) // 2]
        rows.append({**row(tool, size / 1e6, middle), "share_of_full": round(statistics.median(c.cpu_seconds for c in found) / full, 4)})
    save(f"refresh-{options.times}x" if options.times > 1 else "refresh", rows, megabytes=round(size / 1e6, 1), runs=options.runs)


if __name__ == "__main__":
    main()
