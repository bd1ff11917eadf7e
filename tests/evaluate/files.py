"""Benchmarks of a few records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluate.task_file import TaskFile

QUESTIONS: Sequence[Mapping[str, Any]] = [
    {"query": "What runs?", "choices": ["the fox", "a stone"], "gold": 0, "about": "animals"},
    {"query": "What is wet?", "choices": ["sand", "the sea", "dust"], "gold": 1, "about": "nature"},
    {"query": "谁在唱歌？", "choices": ["鸟", "石头"], "gold": 0, "about": "animals"},
    {"query": "What burns?", "choices": ["wood", "water"], "gold": 0, "about": "nature"},
]


def written(folder: Path, records: Sequence[Mapping[str, Any]], name: str = "few.jsonl") -> TaskFile:
    """A file of records as a benchmark."""
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return TaskFile.at(str(path))
