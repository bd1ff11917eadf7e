"""Files on the web, from a real server on this machine."""

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RequestError, RunError
from pipeline.sources import web
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from tests.sources.containers import kept, write

RECORDS = [{"text": f"document {number}"} for number in range(50)]


class Site:
    """What the server serves, and how it behaves."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.marks = "etag"
        self.failures = 0
        self.head = True
        self.short = False
        self.asked: list[str] = []
        self.address = ""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(web, "PAUSE", 0.01)
    served = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(f"{self.command} {self.path}")
            data = served.files.get(self.path)
            if served.failures:
                served.failures -= 1
                self.send_error(503)
            elif self.command == "HEAD" and not served.head:
                self.send_error(405)
            elif data is None:
                self.send_error(404)
            else:
                self.answer(data)

        def answer(self, data: bytes) -> None:
            self.send_response(200)
            if served.marks == "etag":
                self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            if served.marks == "modified":
                self.send_header("Last-Modified", f"Thu, 01 Jan 1970 00:00:{len(data) % 60:02} GMT")
            if served.marks != "chunked":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[: len(data) // 2] if served.short else data)

        do_HEAD = do_GET  # noqa: N815 (the name is the server's)

        def log_message(self, *message: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv.zst", "a.parquet", "a b 文.arrow"])
def test_a_file_on_the_web_is_read_like_one_here(name: str, site: Site, tmp_path: Path) -> None:
    from urllib.parse import quote

    site.files[f"/deep/{quote(name)}"] = write(tmp_path / name, RECORDS).read_bytes()
    documents = kept(f"{site.address}/deep/{name}")
    assert [document.text for document in documents] == [record["text"] for record in RECORDS]
    assert documents[0].origin.startswith(f"{site.address}/deep/{name}#")
    assert documents[0].source == f"{site.address}/deep/{name}"


@pytest.mark.parametrize("marks", ["etag", "modified", "none", "chunked"])
def test_the_snapshot_follows_the_content_whatever_the_server_tells(marks: str, site: Site) -> None:
    site.marks = marks
    site.files["/a.txt"] = b"text"
    source = Files.at(f"{site.address}/a.txt")
    assert Files.at(f"{site.address}/a.txt").snapshot == source.snapshot
    (unit,) = source.partitions()
    assert len(list(source.read(unit))) == 1
    site.files["/a.txt"] = b"other text"
    assert Files.at(f"{site.address}/a.txt").snapshot != source.snapshot
    with pytest.raises(RunError, match=r"a\.txt has changed since it was listed; run the same command again"):
        list(source.read(unit))


def test_a_signature_in_the_address_is_used_and_never_recorded(site: Site) -> None:
    site.head = False
    site.files["/a.txt?signature=SECRET"] = b"text"
    source = Files.at(f"{site.address}/a.txt?signature=SECRET")
    (document,) = [record for unit in source.partitions() for record in source.read(unit)]
    assert document.origin == f"{site.address}/a.txt#0"
    assert "SECRET" not in str(Ingest(source=source).recipe) + repr(document)
    del site.files["/a.txt?signature=SECRET"]
    with pytest.raises(RequestError) as raised:
        Files.at(f"{site.address}/a.txt?signature=SECRET")
    assert "SECRET" not in str(raised.value)


def test_what_fails_for_a_moment_is_asked_again(site: Site) -> None:
    site.files["/a.txt"] = b"text"
    site.failures = 2
    source = Files.at(f"{site.address}/a.txt")
    site.failures = 2
    assert len([record for unit in source.partitions() for record in source.read(unit)]) == 1
    assert len(site.asked) == 6


def test_an_answer_that_breaks_off_is_no_document(site: Site) -> None:
    site.files["/a.txt"] = b"text that is longer"
    source = Files.at(f"{site.address}/a.txt")
    site.short = True
    (unit,) = source.partitions()
    with pytest.raises(RunError, match=r"cannot read '.*a\.txt': .*; run the same command again"):
        list(source.read(unit))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/gone.txt", "cannot read 'ADDRESS/gone.txt': HTTP Error 404: Not Found; check the address and the network"),
        ("/page", "cannot read 'ADDRESS/page': its name says no known format; readable: .txt"),
        ("/empty.txt", "cannot read 'ADDRESS/empty.txt': every file in it is empty"),
    ],
)
def test_an_address_that_cannot_be_read_is_a_wrong_request(path: str, message: str, site: Site) -> None:
    site.files["/empty.txt"] = b""
    with pytest.raises(RequestError, match=message.replace("ADDRESS", site.address)):
        Files.at(f"{site.address}{path}")


def test_a_server_that_is_not_there_is_a_wrong_request_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE", 0.01)
    with pytest.raises(RequestError, match=r"cannot read 'http://127\.0\.0\.1:9/a\.txt': .*refused.*; check the address and the network"):
        Files.at("http://127.0.0.1:9/a.txt")


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(RequestError, match="leave them out") as raised:
        Files.at("https://me:SECRET@host/a.txt")
    assert "SECRET" not in str(raised.value)


def test_a_compressed_file_is_fetched_as_it_is(site: Site) -> None:
    site.files["/a.txt.gz"] = gzip.compress(b"text")
    assert kept(f"{site.address}/a.txt.gz")[0].text == "text"
