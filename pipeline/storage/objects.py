"""An object store, by its conditional puts, as a store."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import Damaged, RequestError, RunError
from pipeline.storage.base import CHUNK_BYTES, REMEDY, Entry, cache_folder, check, checksum_of

TRIES, PAUSE = 3, 0.5
"""How often a transfer is begun that brings nothing new, and the first pause between in seconds (each is twice the last)."""
QUICK, BULK = "10s", "30m"
"""How long one request to an object store may take: for manifests and receipts, and for files of any size."""
RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
CLIENT_SETTINGS = ("allow_http", "allow_invalid_certificates", "proxy_url", "proxy_ca_certificate", "proxy_excludes", "root_certificate")


@dataclass
class Patience:
    """How often what breaks off is taken up again: TRIES times, with growing pauses, and as often again where it got further."""

    pause: float
    reached: int = 0
    failures: int = 0

    def lasts(self, reached: int = 0) -> bool:
        """Pause, so many bytes being there; False where it is not to be tried again."""
        if reached >= self.reached + CHUNK_BYTES:
            self.reached, self.failures = reached, 0
        self.failures += 1
        if lasts := self.failures < TRIES:
            time.sleep(self.pause * 2 ** (self.failures - 1))
        return lasts


@dataclass(frozen=True)
class ObjectStore:
    """An object store, by obstore; credentials and endpoints come from its usual environment variables.

    Raises RunError where it does not answer, after a few tries and in bounded time.
    """

    url: str

    @cached_property
    def _quick(self) -> Any:
        return self._open(QUICK)

    @cached_property
    def _bulk(self) -> Any:
        return self._open(BULK)

    def _open(self, timeout: str) -> Any:
        """A client whose requests may take `timeout` each; options given here would hide those of the environment."""
        from obstore.store import from_url

        given = {name: value for name in CLIENT_SETTINGS if (value := os.environ.get(f"AWS_{name.upper()}"))}
        options: Any = {**given, "connect_timeout": "5s", "timeout": timeout}
        retries: Any = RETRIES
        try:
            return from_url(self.url, client_options=options, retry_config=retries)
        except Exception as problem:
            raise RequestError(f"cannot open {self.url!r}: {_first_line(problem)}; check the address and the credentials") from problem

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    def get(self, path: str) -> bytes:
        import obstore

        with self._answering(path):
            return bytes(obstore.get(self._quick, path).bytes())

    def size(self, path: str) -> int | None:
        entry = self.entry(path)
        return entry.bytes if entry else None

    def entry(self, path: str) -> Entry | None:
        """The file at a path, with its etag; None where there is none."""
        import obstore

        with self._answering(path), suppress(FileNotFoundError):
            found = obstore.head(self._quick, path)
            return Entry(path, int(found["size"]), found["e_tag"])
        return None

    def put_new(self, path: str, data: bytes | Path) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._answering(path), suppress(AlreadyExistsError):
            obstore.put(self._bulk, path, data, mode="create")
            return True
        return False

    def put(self, path: str, data: bytes) -> None:
        import obstore

        with self._answering(path):
            obstore.put(self._quick, path, data)

    def list(self, prefix: str) -> Iterator[Entry]:
        yield from sorted(self.entries(prefix), key=lambda entry: entry.path)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The files below the folder `prefix` as the store tells them, page by page, in an order of its own."""
        import obstore

        with self._answering(prefix):
            for page in obstore.list(self._quick, prefix or None, chunk_size=1000):
                for item in page:
                    yield Entry(item["path"], item["size"], _quoted(item["e_tag"]))

    def checksum(self, path: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(path):
            digest.update(chunk)
        return f"sha256:{digest.hexdigest()}"

    def delete(self, path: str) -> None:
        import obstore

        with self._answering(path), suppress(FileNotFoundError):
            obstore.delete(self._quick, path)

    def local(self, path: str, checksum: str) -> Path:
        """Fetched once into a cache that is addressed by content, so that it can be mapped into memory."""
        place = cache_folder() / checksum.replace(":", "-") / Path(path).name
        if place.exists() and checksum_of(place) == checksum:
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f".draft-{uuid.uuid4().hex}"
        try:
            self.fetch(path, draft)
            check(draft, checksum, path)
            os.replace(draft, place)
        except FileNotFoundError as problem:
            raise Damaged(f"{path} is missing, though a manifest names it; {REMEDY}") from problem
        finally:
            draft.unlink(missing_ok=True)
        return place

    def fetch(self, path: str, place: Path) -> None:
        """Copy a file that no manifest names into a local one; FileNotFoundError where there is none."""
        with open(place, "wb") as file:
            file.writelines(self._chunks(path))

    def check_writable(self) -> None:
        path = f".writable-{uuid.uuid4().hex}"
        try:
            self.put(path, b"trial")
            self.delete(path)
        except (RunError, OSError) as problem:
            answer = _first_line(problem.__cause__ or problem)
            raise RequestError(f"cannot write artifacts below {self.url!r}: {answer}; check the address and the credentials") from problem

    def _chunks(self, path: str) -> Iterator[bytes]:
        """The bytes of a stored file, piece by piece; where they break off, the rest of the same version is asked for."""
        import obstore
        from obstore.exceptions import GenericError, PreconditionError

        patience, reached, rest = Patience(PAUSE), 0, dict[str, Any]()
        with self._answering(path):
            while True:
                try:
                    found = obstore.get(self._bulk, path, options=rest)
                    for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                        yield bytes(chunk)
                        reached += len(chunk)
                        rest = {"range": {"offset": reached}, "if_match": found.meta["e_tag"]}
                    return
                except PreconditionError as problem:
                    raise RunError(f"{self.url}/{path} has changed while it was read; run the same command again") from problem
                except GenericError:
                    if rest.get("if_match") is None or not patience.lasts(reached):
                        raise

    @contextmanager
    def _answering(self, path: str) -> Iterator[None]:
        """Say on one line what a store answered that could not do what it was asked."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except (FileNotFoundError, AlreadyExistsError):
            raise
        except BaseError as problem:
            raise RunError(
                f"{self.url}/{path}: {_first_line(problem)}; see that the store can be reached, then run the same command again"
            ) from problem


def _quoted(etag: str | None) -> str | None:
    """An etag as it is in an answer's head: Azure lists it without its quotation marks."""
    return etag if etag is None or etag.endswith('"') else f'"{etag}"'


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
