"""JSON Lines: an object a line. A record's place is its line, from 1; blank lines are no records."""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.sources.formats.base import TOO_LARGE, UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.lines import MALFORMED, byte_lines, encoding_of, is_wide, open_text, text_lines

MALFORMED_JSON, NOT_AN_OBJECT = "malformed-json", "not-an-object"
BYTE_ORDER_MARK = "\ufeff"
_decode = json.JSONDecoder().decode


class JsonLines(Format):
    """JSON Lines in UTF-8, with or without a byte-order mark, or in UTF-16."""

    suffixes = (".jsonl", ".ndjson", ".jsonlines")

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        with file.open() as stream:
            if is_wide(stream):
                with open_text(stream, encoding_of(stream), "\n") as text:
                    yield from _records(text_lines(text), text_field)
            else:
                yield from _records(byte_lines(stream), text_field)


def _records(lines: Iterator[bytes | None] | Iterator[str | None], text_field: str) -> Iterator[Record | Bad]:
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
    if text is line and MALFORMED in text:
        return Bad(place, UNDECODABLE)
    if place == 1:
        text = text.removeprefix(BYTE_ORDER_MARK)
    if text.isspace():
        return None
    try:
        return record_of(place, _decode(text), text_field)
    except (ValueError, RecursionError):
        return Bad(place, MALFORMED_JSON)


def record_of(place: int, value: Any, text_field: str) -> Record | Bad:
    """The record of one JSON value."""
    if not isinstance(value, dict):
        return Bad(place, NOT_AN_OBJECT)
    return Record(place, value.pop(text_field, None), value)
