"""UrlBlocklist: pages from addresses that a list of the user's names."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.documents import Document
from pipeline.errors import RequestError, RunError
from pipeline.filters.base import Filter
from pipeline.storage import checksum_of

MOST_BYTES = 1 << 30
LONGEST_HOST = 253
"""What is longer is no host's name; its end is looked at."""
NOTHING = checksum_of(b"")
WEB = ("http://", "https://")


class Entries(NamedTuple):
    """What a list blocks. Prefixes are those of paths, by their hosts; words in scripts without spaces stand apart."""

    domains: frozenset[str]
    prefixes: dict[str, tuple[str, ...]]
    words: frozenset[str]
    unspaced: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class UrlBlocklist(Filter):
    """Drops pages whose address is on a list of domains, addresses and words.

    Made by `UrlBlocklist.at(FILE)`; the one without a file blocks nothing. The file has an entry a line; empty lines
    and those that begin with # are none. An entry is
    - a domain, if there is a dot in it ("example.com", ".example", "*.example.com"): it and all its subdomains;
    - the beginning of an address, if there is a slash ("example.com/forum/", with or without https://);
    - else a word that the address holds between other characters than letters and digits ("casino"); in
      characters beyond ASCII, anywhere in it ("博彩").

    Case, punycode and percent-encoding make no difference. The address is `url` in a document's meta, else its
    origin, if that is one; a document without an address is kept. The list's identity is its content, wherever it lies.
    """

    digest: str = NOTHING
    location: str = field(default="", metadata={"identity": False})
    """Where every worker finds the file."""

    @classmethod
    def at(cls, location: str) -> "UrlBlocklist":
        """The list in a text file; raises RequestError where it cannot be read, or has no entries."""
        place = str(Path(location.removeprefix("file://")).expanduser().absolute())
        content = _content(place)
        if not any(_lines(content)):
            raise RequestError(f"the blocklist {location!r} has no entries: give a file with a domain, address or word a line")
        return cls(digest=checksum_of(content), location=place)

    def verdict(self, document: Document) -> str | None:
        address = _address(document)
        if not address or not self.location:
            return None
        entries = _entries(self.location, self.digest)
        host, path = _parts(address)
        for domain in _domains(host):
            if domain in entries.domains:
                return "blocked-domain"
            if path.startswith(entries.prefixes.get(domain, ())):
                return "blocked-address"
        whole = f"{host}{path}"
        if any(word in whole for word in entries.unspaced) or not entries.words.isdisjoint(_words(whole)):
            return "blocked-word"
        return None


def _address(document: Document) -> str | None:
    """A document's address, if it has one."""
    url = json.loads(document.meta).get("url") if '"url"' in document.meta else None
    address = url if isinstance(url, str) else document.origin
    return address if address.lower().startswith(WEB) else None


def _parts(address: str) -> tuple[str, str]:
    """The host and what follows it, folded."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:  # brackets that are no address
        return "", unquote(address).casefold()
    rest = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return _folded_host(host), unquote(rest).casefold()


def _folded_host(host: str) -> str:
    """A host in letters, not in punycode, and in lower case, so that all its spellings are one."""
    host = unquote(host).casefold().strip(".")[-LONGEST_HOST:]
    if "xn--" in host:
        try:
            host = host.encode("ascii").decode("idna")
        except UnicodeError:
            return host
    return host.casefold()


def _domains(host: str) -> Iterator[str]:
    """A host and the domains that it is in."""
    while host:
        yield host
        host = host.partition(".")[2]


def _words(address: str) -> list[str]:
    return "".join(character if character.isalnum() else " " for character in address).split()


@lru_cache(maxsize=4)
def _entries(location: str, digest: str) -> Entries:
    """The entries of a list; raises RunError where it is no longer what it was."""
    content = _content(location)
    if checksum_of(content) != digest:
        raise RunError(f"the blocklist {location!r} has changed since the run was asked for: start the run again")
    domains, prefixes, words = set[str](), defaultdict[str, list[str]](list), set[str]()
    for line in _lines(content):
        if "/" in line:
            host, path = _parts(line if line.lower().startswith(WEB) else f"http://{line}")
            prefixes[host].append(path)
        elif "." in line:
            domains.add(_folded_host(line.removeprefix("*")))
        else:
            words.add(line.casefold())
    return Entries(
        domains=frozenset(domains),
        prefixes={host: tuple(paths) for host, paths in prefixes.items()},
        words=frozenset(word for word in words if word.isascii()),
        unspaced=tuple(sorted(word for word in words if not word.isascii())),
    )


def _lines(content: bytes) -> Iterator[str]:
    for line in content.decode("utf-8-sig", "replace").splitlines():
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield entry


def _content(location: str) -> bytes:
    try:
        with open(location, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise RequestError(f"cannot read the blocklist {location!r}: {problem.strerror}; give a text file") from problem
    if len(content) > MOST_BYTES:
        raise RequestError(f"the blocklist {location!r} holds more than {MOST_BYTES} bytes: give a part of it")
    return content
