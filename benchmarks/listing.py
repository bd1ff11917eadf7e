"""What the listing of very many files costs: CPU seconds and memory of each step from a listing to a refresh's comparison.

    python -m benchmarks.listing [--files 1000000]

The files are entries of an object store that is not there: nothing is read. `peak_mb` is the greatest memory of the process so far, mapped
files and all; `own_mb` is what it has then that is no file, and so cannot be given back.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measuring import own_peak_mb, save
from jobs.history.states import changes, first_parts, folder_of, grown_parts, latest, record
from jobs.recipe import CorpusRecipe
from pipeline.sources.files import Files
from pipeline.sources.places import ObjectPlace
from pipeline.storage import Entry, ObjectStore, open_store

LOCATION = "s3://bucket/crawl"
SHARE = 100
RECIPE = CorpusRecipe(sources=(LOCATION,))
SCATTER = 2_654_435_761
"""A number that is prime to all counts: its multiples are spread evenly."""


@dataclass(frozen=True)
class Imagined(ObjectPlace):
    """A place of so many objects. Every hundredth has other content where it is `changed`; `scattered` ones are out of order."""

    files: int
    changed: bool
    scattered: bool

    def _entries(self, store: ObjectStore, key: str) -> Iterator[Entry]:  # noqa: ARG002
        for place in range(self.files):
            number = place * SCATTER % self.files if self.scattered else place
            tag = number + (self.files if self.changed and number % SHARE == 0 else 0)
            path = f"crawl/2026/part-{number // 1000:05d}/page-{number:09d}.jsonl.gz"
            yield Entry(path, 1024 + number * SCATTER % 65536, f'"{tag:032x}"')


class Steps:
    """Rows of what each step of a command took."""

    def __init__(self, command: str) -> None:
        self.command, self.rows, self.since = command, list[dict[str, Any]](), time.process_time()
        self.done("nothing yet")

    def done(self, step: str, **more: Any) -> None:
        seconds = round(time.process_time() - self.since, 2)
        self.rows.append(
            {"command": self.command, "step": step, "cpu_seconds": seconds, "peak_mb": own_peak_mb(), "own_mb": own_mb(), **more}
        )
        self.since = time.process_time()


def own_mb() -> float:
    """The memory of this process now that is no mapped file, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return round(int(line.split()[1]) / 1024, 1)


def listed(place: Imagined, steps: Steps) -> Files:
    listing = place.list()
    steps.done("listing")
    source = Files(location=LOCATION, place=place, snapshot=listing.snapshot)
    source.__dict__["listing"] = listing
    steps.done("snapshot")
    return source


def first_build(files: int, root: str) -> list[dict[str, Any]]:
    steps = Steps("first build")
    source = listed(Imagined(LOCATION, files, changed=False, scattered=False), steps)
    units = source.partitions()
    assert sum(map(len, units)) == files
    steps.done("units", units=len(units))
    record(open_store(root), "corpus", RECIPE, first_parts((source,), 0), 0, {"tokenize": "first"})
    kept = sum(place.stat().st_size for place in Path(root).rglob("*") if place.is_file())
    steps.done("recording the state", kept_mb=round(kept / 1e6, 1))
    return steps.rows


def refresh(files: int, root: str) -> list[dict[str, Any]]:
    steps = Steps("refresh, 1 % changed")
    source, store = listed(Imagined(LOCATION, files, changed=True, scattered=False), steps), open_store(root)
    before = latest(store, folder_of(RECIPE))
    assert before is not None
    parts = grown_parts(before.parts, (source,), 0)
    assert [part.files and len(part.files) for part in parts] == [files - files // SHARE, files // SHARE]
    steps.done("what is left, and new")
    (change,) = changes(before.parts, (source,)).values()
    assert (change.new, change.gone) == (files // SHARE, files // SHARE)
    steps.done("counting changes")
    record(store, "refresh", RECIPE, parts, 0, {"tokenize": "second"})
    steps.done("recording the state")
    return steps.rows


def out_of_order(files: int, root: str) -> list[dict[str, Any]]:  # noqa: ARG001 (as the others are called)
    steps = Steps("names out of order")
    listed(Imagined(LOCATION, files, changed=False, scattered=True), steps)
    return steps.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    options = parser.parse_args()
    own_process = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1)
    with tempfile.TemporaryDirectory() as root, own_process as pool:
        commands = [pool.submit(command, options.files, root) for command in (first_build, refresh, out_of_order)]
        rows = [row for command in commands for row in command.result()]
    save("listing", rows, files=options.files)


if __name__ == "__main__":
    main()
