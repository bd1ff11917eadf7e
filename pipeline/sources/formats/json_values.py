"""JSON files: an array of objects, one object, or JSON Lines under the name .json. A record's place is its number, from 0."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from pipeline.sources.formats.base import RECORD_BYTES, TOO_LARGE, UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.json_lines import BYTE_ORDER_MARK, MALFORMED_JSON, JsonLines, record_of
from pipeline.sources.formats.lines import MALFORMED, encoding_of, open_text
from pipeline.sources.formats.streams import BrokenStream

READ_CHARACTERS = 1 << 16
SPACE = " \t\r\n"


class Json(Format):
    """An array is read element by element; what follows a malformed one cannot be told apart, and is one bad record."""

    suffixes = (".json",)

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:
        if _is_json_lines(file):
            yield from JsonLines().read(file, text_field)
            return
        with file.open() as stream, open_text(stream, encoding_of(stream), "") as text:
            values = Values(text)
            for place, value in enumerate(values):
                yield record_of(place, value, text_field) if values.decodable else Bad(place, UNDECODABLE)


def _is_json_lines(file: SourceFile) -> bool:
    """Whether the first line is a whole object."""
    with file.open() as stream:
        line = stream.readline(RECORD_BYTES)
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class Values:
    """The elements of a JSON array, or the one value of a file, with no more than one of them in memory.

    Iterating raises BrokenStream where the text is not JSON, or an element is larger than RECORD_BYTES.
    """

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._window = text.read(READ_CHARACTERS).removeprefix(BYTE_ORDER_MARK)
        self._place = 0
        self._decoder = json.JSONDecoder()
        self.decodable = True
        """Whether the bytes of the last value were characters."""

    def __iter__(self) -> Iterator[Any]:
        if self._next() != "[":
            yield self._value()
        else:
            self._place += 1
            if self._next() != "]":
                yield self._value()
                while self._next() == ",":
                    self._place += 1
                    yield self._value()
            if self._next() != "]":
                raise BrokenStream(MALFORMED_JSON)
            self._place += 1
        if self._next():
            raise BrokenStream(MALFORMED_JSON)

    def _next(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            while self._place < len(self._window) and self._window[self._place] in SPACE:
                self._place += 1
            if self._place < len(self._window):
                return self._window[self._place]
            if not self._more():
                return ""

    def _value(self) -> Any:
        """The value that begins at the next character; the window grows until it holds it."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._place)
            except (ValueError, RecursionError) as problem:
                if not self._more():
                    raise BrokenStream(MALFORMED_JSON) from problem
            else:
                if end < len(self._window) or not self._more():
                    self.decodable = MALFORMED not in self._window[self._place : end]
                    self._place = end
                    return value

    def _more(self) -> bool:
        """Widen the window by as much as it holds; says whether there was more."""
        self._window = self._window[self._place :]
        self._place = 0
        if len(self._window) > RECORD_BYTES:
            raise BrokenStream(TOO_LARGE)
        more = self._text.read(max(READ_CHARACTERS, len(self._window)))
        self._window += more
        return bool(more)
