"""Labelled records as people keep them: JSON Lines, JSON, CSV, TSV, Parquet, CoNLL, SQuAD, aligned lines, or a data set of Hugging Face.

A layout says how the bytes of files become records, which are plain mappings of column names to values. What cannot be read is no
record, and has a reason.
"""

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pipeline.documents import Dropped
from pipeline.errors import RequestError, RunError
from pipeline.sources.formats.base import Bad, SourceFile
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.known import READABLE, format_of, format_suffix
from pipeline.sources.formats.lines import encoding_of, open_text, text_lines
from pipeline.sources.formats.streams import BrokenStream
from pipeline.sources.hugging_face import SCHEME, HuggingFace
from pipeline.storage import checksum_of

Layout = Literal["table", "conll", "squad", "lines"]
NO_FIELD = "\0"
"""A column that no file has: nothing is taken out of a record's fields."""
TOO_LONG, BROKEN_SENTENCE, NO_SQUAD, UNEVEN = "line-too-long", "columns-missing", "not-squad", "uneven-lines"


class Labelled(NamedTuple):
    """A record and where it stands: `FILE#PLACE`, or `FILE#GROUP.PLACE` where records that share a text are held out together."""

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RecordFiles:
    """Files of labelled records; made by `RecordFiles.at(LOCATIONS)`.

    Its identity is the digest of the files' bytes and how they are read, so that neither a moved nor a renamed file is another set.
    """

    digest: str
    layout: Layout = "table"
    columns: tuple[str, ...] = ()
    """The names of the columns, where the files do not say them: of a CSV or TSV without a header, of CoNLL, of aligned lines."""
    locations: tuple[str, ...] = field(metadata={"identity": False})

    @classmethod
    def at(cls, locations: Sequence[str], layout: Layout = "table", columns: tuple[str, ...] = ()) -> "RecordFiles":
        """The records in files, folders' globs, or one hf://datasets/OWNER/NAME[@REVISION][#SPLIT]; raises RequestError.

        Of `lines`, the files are aligned: line n of each is a column of record n.
        """
        if layout not in get_args(Layout):
            raise RequestError(f"layout is {layout!r}: use {', '.join(get_args(Layout))}")
        if layout == "lines" and len(columns) != len(locations):
            raise RequestError(f"layout lines has {len(locations)} files for {len(columns)} columns: give one a column, in their order")
        if layout == "conll" and len(columns) < 2:
            raise RequestError("layout conll needs the names of its columns: give them, such as tokens tags")
        if any(location.startswith(SCHEME) for location in locations):
            if len(locations) > 1:
                raise RequestError(f"{', '.join(locations)}: give one data set of Hugging Face, or local files")
            source = _hugging_face(locations[0])
            digest = f"{source.name}@{source.snapshot}#{source.split}"
            return cls(digest=digest, layout=layout, columns=columns, locations=tuple(locations))
        digest = checksum_of("".join(checksum_of(path) for path in _paths(locations, layout)).encode())
        return cls(digest=digest, layout=layout, columns=columns, locations=tuple(locations))

    def records(self) -> Iterator[Labelled | Dropped]:
        """The records in order, and what is none with its reason."""
        if self.locations[0].startswith(SCHEME):
            yield from _of_hugging_face(self.locations[0])
            return
        paths = _paths(self.locations, self.layout)
        if self.layout == "lines":
            yield from _aligned(paths, self.columns)
            return
        for path in paths:
            yield from LAYOUTS[self.layout](path, self.columns)

    def check_unchanged(self) -> None:
        """Raise RunError where the files are not the ones any more that the run was asked for with."""
        if RecordFiles.at(self.locations, self.layout, self.columns) != self:
            raise RunError(f"{', '.join(self.locations)} changed since the run was asked for: start the run again")


def _paths(locations: Sequence[str], layout: Layout) -> list[Path]:
    found = []
    for location in locations:
        named = Path(location.removeprefix("file://")).expanduser()
        paths = [named] if named.is_file() else sorted(path for path in map(Path, glob.glob(str(named))) if path.is_file())
        if not paths:
            raise RequestError(f"there is no file {location!r}: check the path; labelled data is read from local files and from {SCHEME}")
        for path in paths:
            if layout == "table" and format_of(path.name) is None:
                raise RequestError(f"{path} is in no known format: use {READABLE}, or say its layout")
            if path.stat().st_size == 0:
                raise RequestError(f"{path} is empty: give a file with labelled records")
        found += paths
    return found


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Labelled | Dropped]:
    """Rows with named columns, of any format that sources are read from."""
    known = format_of(path.name)
    assert known is not None, "looked at before"
    if columns and format_suffix(path.name) in (".csv", ".tsv"):
        known = type(known)(columns)  # type: ignore[call-arg]
    with closing(Inspector()) as inspector:
        for record in known.records(SourceFile(path, path.name, inspector), NO_FIELD):
            origin = f"{path.name}#{record.place}"
            yield Dropped("", origin, record.reason) if isinstance(record, Bad) else Labelled(origin, record.fields)


def _lines(path: Path) -> Iterator[str | None]:
    """The lines of a text file, plain or compressed, in whatever encoding; None for one that is too long."""
    with SourceFile(path, path.name).open() as stream, open_text(stream, encoding_of(stream), "") as text:
        for line in text_lines(text):
            yield None if line is None else line.rstrip("\r\n")


def _guarded(path: Path, records: Iterator[Labelled | Dropped]) -> Iterator[Labelled | Dropped]:
    try:
        yield from records
    except BrokenStream as problem:
        yield Dropped("", f"{path.name}#end", problem.reason)


def _conll(path: Path, columns: tuple[str, ...]) -> Iterator[Labelled | Dropped]:
    """Sentences with blank lines between, a token a line, its columns apart by spaces; a column becomes a list."""
    yield from _guarded(path, _sentences(path, columns))


def _sentences(path: Path, columns: tuple[str, ...]) -> Iterator[Labelled | Dropped]:
    rows: list[list[str]] = []
    begun, fault = 1, None
    for number, line in enumerate(_with_end(_lines(path)), 1):
        if line is None:
            fault = TOO_LONG
        elif line.strip() and not line.startswith("-DOCSTART-"):
            cells = line.split()
            rows.append(cells)
            fault = fault or (None if len(cells) >= len(columns) else BROKEN_SENTENCE)
        elif rows or fault:
            origin = f"{path.name}#{begun}"
            yield Dropped("", origin, fault) if fault else Labelled(origin, _column_lists(rows, columns))
            rows, fault, begun = [], None, number + 1
        else:
            begun = number + 1


def _with_end(lines: Iterator[str | None]) -> Iterator[str | None]:
    yield from lines
    yield ""


def _column_lists(rows: Sequence[Sequence[str]], columns: tuple[str, ...]) -> dict[str, list[str]]:
    """The last named column is the last one of the file, as the tags of CoNLL are, and the others are the first ones."""
    places = [*range(len(columns) - 1), -1]
    return {name: [row[place] for row in rows] for name, place in zip(columns, places, strict=True)}


def _squad(path: Path, columns: tuple[str, ...]) -> Iterator[Labelled | Dropped]:  # noqa: ARG001 - the format names its own
    """Questions on paragraphs (Rajpurkar and others, 2016): `context`, `question`, `answers` {"text", "answer_start"}, `id`."""
    import json

    with SourceFile(path, path.name).open() as stream:
        try:
            articles = json.load(stream)["data"]
            paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
            found = [
                (f"{place}.{number}", paragraph, question)
                for place, paragraph in enumerate(paragraphs)
                for number, question in enumerate(paragraph["qas"])
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise RequestError(
                f"{path} is not in SQuAD's format ({type(problem).__name__}: {problem}): it needs data[].paragraphs[].qas[]"
            ) from problem
    for number, (place, paragraph, question) in enumerate(found):
        origin = f"{path.name}#{place}"
        try:
            answers = question.get("answers", [])
            texts, starts = [str(answer["text"]) for answer in answers], [int(answer["answer_start"]) for answer in answers]
            held = {"context": str(paragraph["context"]), "question": str(question["question"]), "id": str(question.get("id", number))}
            yield Labelled(origin, {**held, "answers": {"text": texts, "answer_start": starts}})
        except (KeyError, TypeError, ValueError, AttributeError):
            yield Dropped("", origin, NO_SQUAD)


LAYOUTS: dict[Layout, Callable[[Path, tuple[str, ...]], Iterator[Labelled | Dropped]]] = {"table": _table, "conll": _conll, "squad": _squad}


def _aligned(paths: Sequence[Path], columns: tuple[str, ...]) -> Iterator[Labelled | Dropped]:
    """Line n of each file is a column of record n; where one file ends before the others, nothing says what belongs together."""
    from itertools import zip_longest

    try:
        for number, lines in enumerate(zip_longest(*map(_lines, paths), fillvalue=NO_FIELD), 1):
            origin = f"{paths[0].name}#{number}"
            if NO_FIELD in lines:
                short = paths[lines.index(NO_FIELD)]
                raise RequestError(f"{short} has {number - 1} lines, fewer than the files that it goes with: give files of equally many")
            yield Dropped("", origin, TOO_LONG) if None in lines else Labelled(origin, dict(zip(columns, lines, strict=True)))
    except BrokenStream as problem:
        raise RequestError(f"{', '.join(map(str, paths))}: one of them is damaged ({problem.reason}): fetch it again") from problem


def _hugging_face(location: str) -> HuggingFace:
    """hf://datasets/OWNER/NAME[@REVISION][#SPLIT]; the split that is not named is train."""
    name, _, split = location.partition("#")
    return HuggingFace.at(name, split=split or "train", text_field=NO_FIELD)


def _of_hugging_face(location: str) -> Iterator[Labelled | Dropped]:
    """The rows of a data set; every column is a value."""
    source = _hugging_face(location)
    for partition in source.partitions():
        for place, record in source.records(partition):
            yield Labelled(f"{place}#{record.place}", record.fields)
