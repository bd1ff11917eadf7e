"""Transfers that break off go on where they broke, and never mix two versions of a file."""

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.errors import RunError
from pipeline.sources import web
from pipeline.sources.files import Files
from pipeline.storage import checksum_of, objects, open_store
from tests.sources.breaking import Breaking, breaking

SIZE, AFTER = 7_000_000, 1_500_000
OLD, NEW = (b"".join(b"%s %07d\n" % (version, number) for number in range(SIZE // 12)) for version in (b"old", b"new"))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.01)
    monkeypatch.setattr(objects, "PAUSE", 0.01)


class Site:
    """One file on the web."""

    def __init__(self) -> None:
        self.data = OLD
        self.ranges = "as asked"
        self.weak = False
        self.address = "", 0


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = served.data
            etag = f'{"W/" if served.weak else ""}"{hashlib.sha1(data).hexdigest()}"'
            start = self.start() if self.headers.get("If-Range", etag) == etag or served.ranges == "of any version" else 0
            if start >= len(data):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[start:])

        def start(self) -> int:
            asked = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            return {"none": 0, "others": asked // 2}.get(served.ranges, asked)

        do_HEAD = do_GET  # noqa: N815 (the name is the server's)

        def log_message(self, *message: Any) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    served.address = "127.0.0.1", server.server_port
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web_through(site: Site) -> Iterator[Callable[[int, int], Breaking]]:
    """Makes a proxy before the site, which breaks off after so many bytes, so many times."""
    with ExitStack() as open_proxies:
        yield lambda after, times: open_proxies.enter_context(breaking(*site.address, after, times))


def text_at(address: str) -> bytes:
    """The text of a file on the web, as it is read."""
    source = Files.at(f"{address}/a.txt")
    (record,) = [record for unit in source.partitions() for record in source.read(unit)]
    return record.text.encode()  # type: ignore[union-attr]


def test_a_file_on_the_web_goes_on_where_it_broke_as_long_as_it_gets_further(web_through: Callable[[int, int], Breaking]) -> None:
    proxy = web_through(AFTER, 4)
    assert text_at(proxy.address) == OLD
    first, *others = proxy.ranges()
    starts = [int(str(asked).removeprefix("bytes=").removesuffix("-")) for asked in others]
    assert first is None
    assert len(starts) == 4
    assert starts == sorted(starts)
    assert proxy.sent < 1.5 * SIZE


@pytest.mark.parametrize("ranges", ["none", "others"])
def test_a_server_that_does_not_send_the_rest_is_asked_for_the_whole(
    ranges: str, site: Site, web_through: Callable[[int, int], Breaking]
) -> None:
    site.ranges = ranges
    assert text_at(web_through(AFTER, 1).address) == OLD


def test_an_etag_that_is_weak_does_not_say_that_two_parts_belong_together(site: Site, web_through: Callable[[int, int], Breaking]) -> None:
    site.weak = True
    proxy = web_through(AFTER, 2)
    assert text_at(proxy.address) == OLD
    assert proxy.ranges() == [None, None, None]


@pytest.mark.parametrize("ranges", ["as asked", "of any version", "none"])
@pytest.mark.parametrize("new", [NEW, NEW[:1000]])
def test_a_file_that_changes_while_it_breaks_off_is_told_and_never_mixed(
    ranges: str, new: bytes, site: Site, web_through: Callable[[int, int], Breaking]
) -> None:
    site.ranges = ranges
    proxy = web_through(AFTER, 1)
    proxy.between = lambda: setattr(site, "data", new)
    with pytest.raises(RunError, match=r"a\.txt has changed since it was listed"):
        text_at(proxy.address)
    assert text_at(proxy.address) == new


def test_a_file_that_never_gets_further_is_given_up(web_through: Callable[[int, int], Breaking]) -> None:
    proxy = web_through(500_000, 1000)
    with pytest.raises(RunError, match=r"cannot read '.*/a\.txt': .*; run the same command again"):
        text_at(proxy.address)
    assert len(proxy.ranges()) <= 8


@pytest.fixture
def s3_through(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Breaking]]:
    """Puts a file into the bucket, and makes a proxy before the S3 server, through which stores that are opened from now on go."""
    open_store(bucket).put("a.txt", OLD)
    host, port = urlsplit(s3_endpoint).netloc.split(":")
    with ExitStack() as open_proxies:

        def proxied(after: int, times: int) -> Breaking:
            proxy = open_proxies.enter_context(breaking(host, int(port), after, times))
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
            return proxy

        yield proxied


def test_an_object_goes_on_where_it_broke_more_often_than_a_request_is_tried(
    bucket: str, s3_through: Callable[[int, int], Breaking], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "RETRIES", {**objects.RETRIES, "max_retries": 1})
    proxy = s3_through(AFTER, 4)
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path))
    assert open_store(bucket).local("a.txt", checksum_of(OLD)).read_bytes() == OLD
    assert any("\nif-match: " in head for head in proxy.asked)
    assert proxy.sent < 1.5 * SIZE


@pytest.mark.parametrize("own_retries", [0, 3])
def test_an_object_that_changes_while_it_breaks_off_is_told_and_never_mixed(
    own_retries: int, bucket: str, s3_through: Callable[[int, int], Breaking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "RETRIES", {**objects.RETRIES, "max_retries": own_retries})
    direct = open_store(bucket)
    direct.size("a.txt")  # from now on it is connected, past the proxy
    proxy = s3_through(AFTER, 1)
    proxy.between = lambda: direct.put("a.txt", NEW)
    source = Files.at(f"{bucket}/a.txt")
    (unit,) = source.partitions()
    with pytest.raises(RunError, match=r"a\.txt has changed .*run the same command again"):
        list(source.read(unit))


@pytest.mark.parametrize("first", [AFTER, 600])
def test_an_object_that_gets_no_further_is_given_up(first: int, bucket: str, s3_through: Callable[[int, int], Breaking]) -> None:
    proxy = s3_through(first, 1000)

    def hardly_anything() -> None:
        proxy.after = 600

    proxy.between = hardly_anything
    with pytest.raises(RunError, match=r"a\.txt: .*; see that the store can be reached, then run the same command again"):
        open_store(bucket).checksum("a.txt")
    assert len(proxy.ranges()) <= 4 * 4
