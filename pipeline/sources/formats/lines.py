"""Lines of bytes and of text, of bounded length, for the formats that are read line by line."""

import codecs
import io
from collections.abc import Iterator
from typing import TextIO

from pipeline.sources.formats.base import RECORD_BYTES
from pipeline.sources.formats.encodings import detect

MALFORMED = "\udcff"
"""Stands in decoded text for bytes that do not decode: a lone surrogate, which no valid text holds."""


def _mark(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeDecodeError)
    return MALFORMED, problem.end


codecs.register_error("millrace-mark", _mark)


def byte_lines(stream: io.BufferedReader, most: int = RECORD_BYTES) -> Iterator[bytes | None]:
    """The lines with their ends, of at most `most` bytes; None for a longer one."""
    while line := stream.readline(most + 1):
        if len(line) > most:
            while line and not line.endswith(b"\n"):
                line = stream.readline(most)
            yield None
        else:
            yield line


def text_lines(text: TextIO, most: int = RECORD_BYTES) -> Iterator[str | None]:
    """The lines with their ends, of at most `most` characters; None for a longer one."""
    while line := text.readline(most + 1):
        if len(line) > most:
            while line and line[-1] not in "\r\n":
                line = text.readline(most)
            yield None
        else:
            yield line


def open_text(stream: io.BufferedReader, encoding: str, newline: str) -> io.TextIOWrapper:
    """A stream as text with MALFORMED for what does not decode; `newline` as in `open`."""
    return io.TextIOWrapper(stream, encoding, errors="millrace-mark", newline=newline)


def encoding_of(stream: io.BufferedReader) -> str:
    """The encoding of a stream by what it begins with; UTF-8 where that is in none, so that each bad record is told of."""
    return detect(stream.peek(1), whole=False) or "utf-8"


def is_wide(stream: io.BufferedReader) -> bool:
    """Whether a stream seems to be in UTF-16 or UTF-32, in which a line's end is more than one byte."""
    return b"\0" in stream.peek(1)[:256]
