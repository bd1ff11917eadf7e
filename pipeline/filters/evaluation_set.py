"""The examples of a benchmark, read from JSON Lines, so that they can be kept out of training data."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import RequestError, RunError
from pipeline.storage import checksum_of

MOST_BYTES = 1 << 30
"""What a file may hold once it is unpacked: benchmarks are read whole."""
GZIP_MAGIC = b"\x1f\x8b"


class Example(NamedTuple):
    """One example: its line in the file, from 1, and its text."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """A benchmark; made by `EvaluationSet.at(LOCATION)`.

    Its identity is the digest of its unpacked bytes, what it is called in ledgers, and which fields make an example's
    text: neither a moved nor a compressed file is another set.
    """

    name: str
    digest: str
    fields: tuple[str, ...] | None = None
    location: str = field(metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.name or "#" in self.name:
            raise RequestError(f"an evaluation set is named {self.name!r}: give a name without #, which stands before an example's number")
        if self.fields is not None and (not isinstance(self.fields, tuple) or not self.fields):
            raise RequestError(
                f"fields of {self.name} is {self.fields!r}: use a tuple of names, such as ('question',), or None for all text"
            )

    @classmethod
    def at(cls, location: str, fields: tuple[str, ...] | None = None, name: str | None = None) -> "EvaluationSet":
        """The examples in a JSON Lines file, plain or gzipped, an object a line.

        `fields` are joined, in this order, to the text of an example; they hold strings, or lists or objects of them.
        None takes every string of the record in its order, except bare labels (one word of ASCII: "B", "q_17",
        "anatomy"). `name` is the file's name without its suffixes, unless given. Raises RequestError where the file
        cannot be read, or no example has any text.
        """
        content = _content(location)
        stem = Path(location.removeprefix("file://")).name.partition(".")[0]
        found = cls(name=stem if name is None else name, digest=checksum_of(content), fields=fields, location=location)
        examples = list(found._examples(content))
        if not any(example.text for example in examples):
            wanted = "text" if fields is None else f"text in {', '.join(fields)}"
            raise RequestError(f"no example of {location!r} has {wanted}: name the fields that make an example's text")
        return found

    def examples(self) -> list[Example]:
        """The examples in order; raises RunError where the file is no longer what it was."""
        content = _content(self.location)
        if checksum_of(content) != self.digest:
            raise RunError(f"the evaluation set at {self.location!r} has changed since the run was asked for: start the run again")
        return list(self._examples(content))

    def _examples(self, content: bytes) -> Iterator[Example]:
        for line, data in enumerate(content.split(b"\n"), 1):
            if data and not data.isspace():
                try:
                    record = json.loads(data)
                    text = self._text(record) if isinstance(record, dict) else None
                except (ValueError, RecursionError):
                    text = None
                if text is None:  # to leave one out in silence would leave it in the training data
                    raise RequestError(f"line {line} of the evaluation set {self.location!r} is no JSON object: mend the file")
                yield Example(line, text)

    def _text(self, record: dict[str, Any]) -> str:
        if self.fields is None:
            return text_of(record)
        return _joined(part for name in self.fields for part in _strings(record.get(name)))


def text_of(record: Mapping[str, Any]) -> str:
    """Every string of a record in its order, a line each, except bare labels (one word of ASCII)."""
    return _joined(part for part in _strings(dict(record)) if not _is_label(part))


def _joined(parts: Iterable[str]) -> str:
    """Texts as one that Arrow can take: lone surrogates are question marks."""
    return "\n".join(parts).encode("utf-8", "replace").decode()


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _strings(member)


def _is_label(text: str) -> bool:
    return text.isascii() and len(text.split(maxsplit=1)) < 2


def _content(location: str) -> bytes:
    """The unpacked bytes of a file."""
    try:
        with open(Path(location.removeprefix("file://")).expanduser(), "rb") as file:
            packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            content = (gzip.GzipFile(fileobj=file) if packed else file).read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as problem:
        raise RequestError(f"cannot read the evaluation set {location!r}: {problem}; give a file of JSON Lines, plain or .gz") from problem
    if len(content) > MOST_BYTES:
        raise RequestError(f"the evaluation set {location!r} holds more than {MOST_BYTES} bytes: give a part of it")
    return content
