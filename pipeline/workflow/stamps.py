"""What was made of a file's bytes, remembered for as long as the file's stamp is the same: its size, times and inode.

As git's index does, it saves reading what has not changed. A file that was written to in the last seconds is not remembered, since
it may be written to again within one tick of its times. The memory is a small database in the user's cache folder; where it
cannot be used, everything is read.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.storage import cache_folder

log = logging.getLogger(__name__)
FRESH_NANOSECONDS = 3 * 10**9
"""A file that changed less than this ago may change again without another stamp."""
SECONDS_TO_WAIT = 5.0
TABLE = "CREATE TABLE IF NOT EXISTS stamps (kind TEXT, path TEXT, stamp TEXT, value TEXT, PRIMARY KEY (kind, path)) WITHOUT ROWID"


def remembered(kind: str, paths: Sequence[str], make: Callable[[Sequence[str]], Iterable[str]]) -> list[str]:
    """A value for each file, in order; `make` makes those of the files that are not remembered. Raises what `make` raises, and OSError."""
    stamps = [stamp_of(path) for path in paths]
    known = _read(kind, paths)
    values = {path: known[path][1] for path, stamp in zip(paths, stamps, strict=True) if path in known and known[path][0] == stamp}
    missing = [path for path in dict.fromkeys(paths) if path not in values]
    if missing:
        values |= zip(missing, make(missing), strict=True)
        before = dict(zip(paths, stamps, strict=True))
        _write(kind, [(path, before[path], values[path]) for path in missing if is_settled(path, before[path])])
    return [values[path] for path in paths]


def stamp_of(path: str) -> str:
    """What differs when a file is written to or replaced."""
    found = os.stat(path)
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"


def is_settled(path: str, stamp: str) -> bool:
    """Whether a file is still as it was, and has not just been written to."""
    found = os.stat(path)
    return stamp_of(path) == stamp and time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > FRESH_NANOSECONDS


def _open() -> sqlite3.Connection:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(Path(folder, "stamps.sqlite"), timeout=SECONDS_TO_WAIT)
    connection.execute(TABLE)
    return connection


def _read(kind: str, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The stamp and the value of each path that is known; paths that are no Unicode are not."""
    try:
        with closing(_open()) as memory:
            rows = ((path, _row(memory, kind, path)) for path in paths)
            return {path: row for path, row in rows if row is not None}
    except (sqlite3.Error, OSError) as problem:
        log.debug("stamps cannot be read: %s", problem)
        return {}


def _row(memory: sqlite3.Connection, kind: str, path: str) -> tuple[str, str] | None:
    if not path.isascii() and not _is_unicode(path):
        return None
    row: tuple[str, str] | None = memory.execute("SELECT stamp, value FROM stamps WHERE kind = ? AND path = ?", (kind, path)).fetchone()
    return row


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write(kind: str, rows: Iterable[tuple[str, str, str]]) -> None:
    known = [(kind, *row) for row in rows if _is_unicode(row[0])]
    try:
        with closing(_open()) as memory, memory:
            memory.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?)", known)
    except (sqlite3.Error, OSError) as problem:
        log.debug("stamps cannot be kept: %s", problem)
