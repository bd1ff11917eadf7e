"""The examples of a benchmark as people keep them: a file of JSON Lines, JSON, CSV, TSV or Parquet, or a folder of such files.

What cannot be read stops the evaluation: a benchmark with holes in it would be another benchmark.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import RequestError, RunError
from pipeline.sources.formats.base import COMPRESSIONS, Bad, Format, SourceFile
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.known import format_of, format_suffix
from pipeline.sources.formats.streams import BrokenStream

NO_FIELD = "\0"
"""A column that no file has: nothing is taken out of a record's fields."""
TABLES = (".jsonl", ".ndjson", ".jsonlines", ".json", ".csv", ".tsv", ".parquet", ".arrow")
READABLE = f"{' '.join(TABLES)}, each also {' and '.join(COMPRESSIONS)}"
CHUNK_BYTES = 1 << 20


class Row(NamedTuple):
    """One record of a benchmark: where it stands (`FILE#PLACE`), and its columns."""

    origin: str
    columns: Mapping[str, Any]

    def value(self, column: str) -> Any:
        """What stands in a column; raises RequestError naming those there are."""
        if column not in self.columns:
            raise RequestError(f"{self.origin} has no column {column!r}: choose from {', '.join(map(repr, self.columns))}")
        return self.columns[column]

    def text(self, column: str) -> str:
        """What stands in a column, as text: it is one already, or a number, or nothing."""
        value = self.value(column)
        if isinstance(value, list | dict):
            raise RequestError(f"{self.origin} has a {type(value).__name__} in the column {column!r}: name a column that holds text")
        return as_text(value)


def as_text(value: Any) -> str:
    """A value as text that every tokenizer and every file can take: lone surrogates are question marks."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A benchmark; made by `TaskFile.at(LOCATION)`.

    Its identity is its name and the digest of its unpacked bytes: neither a moved nor a compressed file is another one.
    """

    name: str
    digest: str
    headed: bool = False
    """Whether the first record says what the task is, and is no example."""
    location: str = field(metadata={"identity": False})

    @classmethod
    def at(cls, location: str, headed: bool = False) -> "TaskFile":
        """The benchmark in a file or in a folder's files; raises RequestError where there is none that can be read."""
        paths = _paths(location)
        name = Path(location.removeprefix("file://")).name.partition(".")[0]
        return cls(name=name, digest=_digest(paths), headed=headed, location=location)

    def header(self) -> Mapping[str, Any]:
        """The first record, which says what the task is; nothing where there is none that can be read."""
        return next(_rows(_paths(self.location)[0]), Row("", {})).columns

    def rows(self) -> Iterator[Row]:
        """The records in order. Raises RequestError for one that cannot be read and where there are none; RunError where
        they are others than the run was asked for with."""
        paths = _paths(self.location)
        if _digest(paths) != self.digest:
            raise RunError(f"{self.location} has changed since the run was asked for: start the run again")
        everything = (row for path in paths for row in _rows(path))
        number = -1
        for number, row in enumerate(islice(everything, int(self.headed), None)):  # noqa: B007 - it says whether there were any
            yield row
        if number < 0:
            raise RequestError(f"{self.location} holds no examples{' after its header' if self.headed else ''}: give a file with some")


def _paths(location: str) -> list[Path]:
    """A file, or the readable files of a folder by their names."""
    named = Path(location.removeprefix("file://")).expanduser()
    paths = [named]
    if named.is_dir():
        paths = sorted(path for path in named.iterdir() if path.is_file() and _format(path))
        if not paths:
            raise RequestError(f"there are no examples in the folder {location}: readable are {READABLE}")
    elif not named.is_file():
        raise RequestError(f"there is no file {location}: give the path of a benchmark's examples, such as arc_easy.jsonl")
    elif _format(named) is None:
        raise RequestError(f"{location} holds no examples as its name says: readable are {READABLE}")
    return paths


def is_table(name: str) -> bool:
    """Whether a file of this name holds records with columns."""
    return format_suffix(name) in TABLES


def _format(path: Path) -> Format | None:
    """The format of a file of records with columns, as its name says."""
    return format_of(path.name) if is_table(path.name) else None


def _digest(paths: list[Path]) -> str:
    """A digest of the unpacked bytes of all files, and of where each ends."""
    whole = sha256()
    for path in paths:
        own = sha256()
        with _guarded(path), SourceFile(path, path.name).open() as stream:
            while data := stream.read(CHUNK_BYTES):
                own.update(data)
        whole.update(own.digest())
    return f"sha256:{whole.hexdigest()}"


def _rows(path: Path) -> Iterator[Row]:
    known = _format(path)
    assert known is not None, "looked at before"
    with closing(Inspector()) as inspector:
        for record in known.records(SourceFile(path, path.name, inspector), NO_FIELD):
            origin = f"{path.name}#{record.place}"
            if isinstance(record, Bad):  # to leave one out in silence would make another benchmark
                raise RequestError(f"{origin} of {path} cannot be read ({record.reason}): mend the file")
            yield Row(origin, record.fields)


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Errors of reading a file, as the user should see them."""
    try:
        yield
    except (OSError, BrokenStream) as problem:
        raise RequestError(f"{path} cannot be read ({problem}): fetch it again") from problem
