"""JSON Lines: an object a line. A record's place is its line, from 1; blank lines are no records."""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.sources.formats.base import TOO_LARGE, UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.lines import MALFORMED, byte_lines, encoding_of, is_wide, text_lines

MALFORMED_JSON, NOT_AN_OBJECT = "malformed-json", "not-an-object"
BYTE_ORDER_MARK = "\ufeff"


class JsonLines(Format):
    """JSON Lines in UTF-8, with or without a byte-order mark, or in UTF-16."""

    suffixes = (".jsonl", ".ndjson", ".jsonlines")

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        with file.open() as stream:
            lines: Iterator[bytes | str | None]
            lines = text_lines(stream, encoding_of(stream), "\n") if is_wide(stream) else byte_lines(stream)
            for place, line in enumerate(lines, 1):
                record = _record(place, line, text_field)
                if record is not None:
                    yield record


def _record(place: int, line: bytes | str | None, text_field: str) -> Record | Bad | None:
    """The record of a line; None for a blank line."""
    if line is None:
        return Bad(place, TOO_LARGE)
    try:
        text = line.decode() if isinstance(line, bytes) else line
    except UnicodeDecodeError:
        return Bad(place, UNDECODABLE)
    if MALFORMED in text:
        return Bad(place, UNDECODABLE)
    if place == 1:
        text = text.removeprefix(BYTE_ORDER_MARK)
    if not text.strip():
        return None
    try:
        return record_of(place, json.loads(text), text_field)
    except (ValueError, RecursionError):
        return Bad(place, MALFORMED_JSON)


def record_of(place: int, value: Any, text_field: str) -> Record | Bad:
    """The record of one JSON value."""
    if not isinstance(value, dict):
        return Bad(place, NOT_AN_OBJECT)
    return Record(place, value.pop(text_field, None), value)
