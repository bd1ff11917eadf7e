"""A single file on the web, by its address."""

import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from pipeline.errors import RequestError, RunError
from pipeline.sources.catalogue import Catalogue, ListedFile
from pipeline.sources.listing import Listing, changed
from pipeline.sources.places import Place, listing_of, require_format
from pipeline.storage import CHUNK_BYTES, Patience, checksum_of

SECONDS, PAUSE = 60, 0.5
"""How long the web may be silent, and the first pause before it is asked again."""
PARTIAL, NO_SUCH_RANGE = 206, 416
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
GET_ONLY = frozenset({403, 405, 501})
"""What servers that do not know HEAD answer to it, and signed addresses that allow GET alone."""
PROBLEMS = (OSError, http.client.HTTPException)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
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
            file = self._listed()
        except PROBLEMS as problem:
            raise RequestError(f"cannot read {self._shown!r}: {problem}; check the address and the network") from problem
        return listing_of(self._shown, Catalogue.of([file]), Counter())

    def _listed(self) -> ListedFile:
        headers = _tried(self._told)
        mark, size = _mark(headers), headers.get("Content-Length")
        if mark and size:
            return ListedFile(self._shown, int(size), mark)
        with tempfile.NamedTemporaryFile(prefix="millrace-") as copy:
            path = Path(copy.name)
            self._fetch(path)
            return ListedFile(self._shown, path.stat().st_size, checksum_of(path))

    def _told(self) -> Message:
        """What the server tells of the file without sending it; nothing, where it is not asked for that."""
        try:
            with self._open("HEAD") as answer:
                headers: Message = answer.headers
                return headers
        except urllib.error.HTTPError as problem:
            if problem.code not in GET_ONLY:
                raise
            return Message()

    @contextmanager
    def lend(self, file: ListedFile) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            path = Path(folder, "file")
            try:
                mark = self._fetch(path)
            except PROBLEMS as problem:
                raise RunError(f"cannot read {self._shown!r}: {problem}; run the same command again") from problem
            if path.stat().st_size != file.bytes or file.mark not in (mark, checksum_of(path)):
                raise changed(file.path)
            yield path

    def _fetch(self, path: Path) -> str | None:
        """Copy the file into a local one; what marks its content, if the server says. Where it breaks off, it goes on from there."""
        patience, version = Patience(PAUSE), None
        with open(path, "wb") as copy:
            while True:
                try:
                    with self._open("GET", _rest(copy.tell(), version)) as answer:
                        copy.truncate(start := copy.seek(_start(answer, copy.tell(), version)))
                        version = _version(answer.headers)
                        shutil.copyfileobj(answer, copy, CHUNK_BYTES)
                        _require_all(answer.headers, copy.tell() - start)
                        return _mark(answer.headers)
                except PROBLEMS as problem:
                    if isinstance(problem, _OtherPart) or _code(problem) == NO_SUCH_RANGE:
                        version = None
                    elif not _passes(problem):
                        raise
                    if not patience.lasts(copy.tell()):
                        raise

    @contextmanager
    def _open(self, method: str, headers: Mapping[str, str] = NO_HEADERS) -> Iterator[Any]:
        request = urllib.request.Request(_ascii(self.address), method=method, headers={"User-Agent": "millrace", **headers})  # noqa: S310
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


def _version(headers: Message) -> str | None:
    """What tells that two answers are of the very same bytes: an etag that is not weak."""
    etag = headers.get("ETag")
    return etag if etag and etag.startswith('"') else None


def _rest(start: int, version: str | None) -> dict[str, str]:
    """How all bytes from `start` on are asked for, if they are still of this version; else the whole file is sent."""
    return {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}


class _OtherPart(http.client.HTTPException):
    """An answer is not the part of the file that was asked for."""


def _start(answer: Any, asked: int, version: str | None) -> int:
    """The place in the file at which an answer begins."""
    if answer.status != PARTIAL:
        return 0
    if _version(answer.headers) != version or not answer.headers.get("Content-Range", "").startswith(f"bytes {asked}-"):
        raise _OtherPart("it sent another part than was asked for")
    return asked


def _require_all(headers: Message, received: int) -> None:
    promised = headers.get("Content-Length")
    if promised is not None and int(promised) != received:
        raise http.client.IncompleteRead(b"", int(promised) - received)


def _code(problem: Exception) -> int | None:
    return problem.code if isinstance(problem, urllib.error.HTTPError) else None


def _passes(problem: Exception) -> bool:
    """Whether it may go well when it is tried again."""
    code = _code(problem)
    return code is None or code in TRANSIENT


def _ascii(address: str) -> str:
    return quote(address, safe="%/:=&?~#+!$,;'@()*[]")


def _tried(ask: Callable[[], T]) -> T:
    """Ask again, after a pause, where the web fails for the moment."""
    patience = Patience(PAUSE)
    while True:
        try:
            return ask()
        except PROBLEMS as problem:
            if not _passes(problem) or not patience.lasts():
                raise
