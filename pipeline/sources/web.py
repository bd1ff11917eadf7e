"""A single file on the web, by its address."""

import http.client
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from pipeline.errors import RequestError, RunError
from pipeline.sources.listing import ListedFile, Listing, changed
from pipeline.sources.places import Place, listing_of, require_format
from pipeline.storage import CHUNK_BYTES, checksum_of

SECONDS, TRIES, PAUSE = 60, 3, 0.5
"""How long the web may be silent, how often it is asked, and the first pause between (each pause is twice the last)."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
GET_ONLY = frozenset({403, 405, 501})
"""What servers that do not know HEAD answer to it, and signed addresses that allow GET alone."""
PROBLEMS = (OSError, http.client.HTTPException)
T = TypeVar("T")


def without_secrets(address: str) -> str:
    """An address as it may be recorded: its query is left out, since that may hold a signature."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise RequestError(f"cannot read from {parts.hostname!r} with a name and a password in the address; leave them out")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


@dataclass(frozen=True)
class WebPlace(Place):
    """One file at an http:// or https:// address. Its mark is its etag, its date of change, or its content."""

    address: str

    @property
    def _shown(self) -> str:
        return without_secrets(self.address)

    def list(self) -> Listing:
        require_format(self._shown)
        try:
            file = _tried(self._listed)
        except PROBLEMS as problem:
            raise RequestError(f"cannot read {self._shown!r}: {problem}; check the address and the network") from problem
        return listing_of(self._shown, (file,), {})

    def _listed(self) -> ListedFile:
        try:
            with self._open("HEAD") as answer:
                mark, size = _mark(answer.headers), answer.headers.get("Content-Length")
        except urllib.error.HTTPError as problem:
            if problem.code not in GET_ONLY:
                raise
            mark = size = None
        if mark and size:
            return ListedFile(self._shown, int(size), mark)
        with tempfile.NamedTemporaryFile(prefix="millrace-") as copy:
            path = Path(copy.name)
            self._fetch(path)
            return ListedFile(self._shown, path.stat().st_size, checksum_of(path))

    @contextmanager
    def lend(self, file: ListedFile) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            path = Path(folder, "file")
            try:
                mark = _tried(lambda: self._fetch(path))
            except PROBLEMS as problem:
                raise RunError(f"cannot read {self._shown!r}: {problem}; run the same command again") from problem
            if path.stat().st_size != file.bytes or file.mark not in (mark, checksum_of(path)):
                raise changed(file.path)
            yield path

    def _fetch(self, path: Path) -> str | None:
        """Copy the file into a local one; what marks its content, if the server says."""
        with self._open("GET") as answer, open(path, "wb") as copy:
            shutil.copyfileobj(answer, copy, CHUNK_BYTES)
            promised = answer.headers.get("Content-Length")
            if promised is not None and int(promised) != copy.tell():
                raise http.client.IncompleteRead(b"", int(promised) - copy.tell())
            return _mark(answer.headers)

    @contextmanager
    def _open(self, method: str) -> Iterator[Any]:
        request = urllib.request.Request(_ascii(self.address), method=method, headers={"User-Agent": "millrace"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                yield answer
        except urllib.error.HTTPError as problem:
            problem.close()
            raise


def _mark(headers: Message) -> str | None:
    """What changes when the content does, as a server tells it."""
    if etag := headers.get("ETag"):
        return f"etag:{etag}"
    if modified := headers.get("Last-Modified"):
        return f"modified:{modified}"
    return None


def _ascii(address: str) -> str:
    return quote(address, safe="%/:=&?~#+!$,;'@()*[]")


def _tried(ask: Callable[[], T]) -> T:
    """Ask again, after a pause, where the web fails for the moment."""
    for number in range(TRIES - 1):
        try:
            return ask()
        except PROBLEMS as problem:
            if isinstance(problem, urllib.error.HTTPError) and problem.code not in TRANSIENT:
                raise
            time.sleep(PAUSE * 2**number)
    return ask()
