"""What each filter, with its published defaults, keeps, changes and drops of a text, and how fast it is on one core.

    python -m benchmarks.filters [LOCATION ...] [--documents 20000] [--runs 3]

LOCATION is a file, folder, archive or glob of documents; by default Chinese poems, and the Chinese and the English pages of the Debian
handbook, from the trial data beside the project. Of a source with more documents, some are taken evenly, by a hash of their ids.
Every filter is asked alone, in one process, about documents that are in memory; megabytes are of UTF-8, seconds of CPU; medians of
the runs, behind one that is not timed. CodeLicence is for source code and UrlBlocklist for pages with addresses: here they show
their speed, and that the one knows no licence of prose.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import save
from jobs.filters import known_filters
from pipeline.documents import Document
from pipeline.filters.base import Filter
from pipeline.filters.clean import asked
from pipeline.filters.explanation import spread
from pipeline.sources.locations import source_at

DATA = Path(__file__).parents[2] / "shared" / "data"
USUAL = ("text/chinese-poetry.jsonl.gz", "web/zh-CN.tar.gz", "web/en-US.tar.gz")


def documents_of(location: str) -> Iterator[Document]:
    """The documents of a source, without what is quarantined."""
    source = source_at(location)
    for partition in source.partitions():
        yield from (record for record in source.read(partition) if isinstance(record, Document))


def asked_about(rule: Filter, documents: list[Document]) -> dict[str, Any]:
    """How many documents a filter keeps, changes and drops."""
    dropped, changed = Counter[str](), 0
    for document in documents:
        text, _, reason = asked(rule, document)
        if reason is not None:
            dropped[reason] += 1
        elif text != document.text:
            changed += 1
    return {"kept": len(documents) - dropped.total(), "changed": changed, "dropped": dict(dropped.most_common())}


def seconds(rule: Filter, documents: list[Document], runs: int) -> float:
    """The median CPU seconds of a filter's verdicts on all documents."""
    found = []
    for _ in range(runs):
        started = time.process_time()
        for document in documents:
            asked(rule, document)
        found.append(time.process_time() - started)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("locations", nargs="*", metavar="LOCATION", default=[str(DATA / place) for place in USUAL])
    parser.add_argument("--documents", type=int, default=20_000, help="the most of a source")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for location in options.locations:
        documents = spread(documents_of(location), options.documents)
        megabytes = sum(len(document.text.encode("utf-8", "surrogatepass")) for document in documents) / 1e6
        for name, kind in known_filters().items():
            counts = asked_about(kind(), documents)
            speed = round(megabytes / max(seconds(kind(), documents, options.runs), 1e-9), 1)
            rows.append({"source": Path(location).name, "filter": name, "mb_per_core_second": speed, "documents": len(documents), **counts})
    save("filters", rows, runs=options.runs)


if __name__ == "__main__":
    main()
