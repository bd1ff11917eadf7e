"""Where prompts come from, and where the texts after them go: files that people have, and files that they can open."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError
from pipeline.evaluate.task_file import TABLES, TaskFile
from pipeline.sources.formats.known import format_suffix

FIELD = "prompt"
KEPT = (".jsonl", ".parquet")


def read_prompts(location: str) -> tuple[str, ...]:
    """The prompts in a file: each line that is not blank, or the field `prompt` of each record of JSON Lines and other tables.

    Raises RequestError where there are none.
    """
    place = Path(location)
    if not place.is_file():
        raise RequestError(f"there is no file {location} with prompts: name one with a prompt a line, or .jsonl with the field {FIELD!r}")
    if format_suffix(place.name) in TABLES:
        return tuple(row.text(FIELD) for row in TaskFile.at(location).rows())
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as problem:
        raise RequestError(f"{location} is no text in UTF-8 (byte {problem.start}): save it as that, or as JSON Lines") from problem
    if not (prompts := tuple(line for line in lines if line.strip())):
        raise RequestError(f"{location} holds no prompts: write one a line")
    return prompts


def check_output(location: str) -> None:
    """Raise RequestError for a place where `write_samples` cannot write."""
    place = Path(location)
    if place.suffix not in KEPT:
        raise RequestError(f"output is {location!r}: use a name that ends in {' or '.join(KEPT)}")
    if place.is_dir() or not place.parent.is_dir():
        raise RequestError(f"output is {location!r}, which is a folder or in none that is there: name a file in one that is")
    if not os.access(place.parent, os.W_OK):
        raise RequestError(f"output is {location!r}, where nothing may be written: choose another place")


def write_samples(location: str, samples: Sequence[Mapping[str, Any]]) -> None:
    """Write a record each; a file that is there is replaced when all are written."""
    place = Path(location)
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        if place.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(list(samples)), draft)
        else:
            draft.write_text("".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples), encoding="utf-8")
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
