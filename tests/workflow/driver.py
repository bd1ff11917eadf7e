"""Drives a small graph in a process of its own: python -m tests.workflow.driver ROOT PAUSE JOURNAL."""

import sys

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.workflow.steps import Numbers, Total

COUNT = 12


def graph(pause: float = 0.0, journal: str | None = None) -> Total:
    """The graph; its arguments are no part of its identity."""
    return Total(numbers=Numbers(count=COUNT, pause=pause, journal=journal), pause=pause)


if __name__ == "__main__":
    root, pause, journal = sys.argv[1:]
    run([graph(float(pause), journal)], open_store(root), InlineExecutor())
