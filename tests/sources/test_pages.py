"""Web pages: their encoding, their main text, and the process that reads them."""

import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.documents import Document
from pipeline.errors import RequestError, RunError
from pipeline.sources.extraction import child, extractor
from pipeline.sources.extraction.extractor import Extractor, Page
from pipeline.sources.extraction.page import named_charset, page_text
from pipeline.sources.files import Files
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from tests.sources.containers import COMPRESSED, kept, quarantined
from tests.sources.web_archives import html, record, response

CHINESE = "\u6211\u4eec\u7684\u4e2d\u6587\u7f51\u9875"
SENTENCE = "L'\u00e9t\u00e9 dernier, nous sommes all\u00e9s \u00e0 la mer avec des amis. "
FRENCH = "\u00e9t\u00e9 \u00e0 No\u00ebl"


@pytest.fixture(autouse=True)
def pages_end_in_their_own_thread() -> Iterator[None]:
    """A tree of resiliparse must end in the thread that made it: here that is a test's, and not one that happens to collect garbage."""
    yield
    gc.collect()


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("suffix", [".html", ".htm", ".HTML"])
def test_a_page_is_one_document_with_its_title_and_language(suffix: str, compression: str, tmp_path: Path) -> None:
    data = html("The words.", "<title>Title</title>").replace(b"<html>", b"<html lang=en>")
    (tmp_path / f"a{suffix}{compression}").write_bytes(COMPRESSED[compression](data))
    (document,) = kept(tmp_path)
    assert (document.text, json.loads(document.meta)) == ("The words.", {"title": "Title", "language": "en"})
    assert document.origin == f"{tmp_path}/a{suffix}{compression}#0"


@pytest.mark.parametrize("chosen", ["resiliparse", "trafilatura"])
def test_main_text_is_without_navigation_and_scripts(chosen: Any, tmp_path: Path) -> None:
    words = "A paragraph that is long enough to be the main content of this page, as anybody would say. "
    page = (
        "<html><head><style>p {color: red}</style></head><body><nav><ul><li><a href=/>Home</a><li><a href=/b>Contact us</a></ul></nav>"
        f"<article><h1>Heading</h1><p>{words * 3}</p><p>{words * 2}</p></article><script>track()</script>"
        "<footer><a href=/imprint>Imprint</a></footer></body></html>"
    )
    (tmp_path / "a.html").write_text(page)
    (document,) = kept(tmp_path, extractor=chosen)
    assert document.text.count("long enough") == 5
    assert not any(word in document.text for word in ("Home", "Contact", "track", "color", "Imprint"))


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (CHINESE.encode("gb18030"), "gb2312", CHINESE),
        (CHINESE.encode("gb18030"), "GBK", CHINESE),
        (CHINESE.encode("utf-8"), '"utf-8"', CHINESE),
        (FRENCH.encode("cp1252"), "ISO-8859-1", FRENCH),
        ((SENTENCE * 5).encode("cp1252"), "utf-8", SENTENCE * 5),
        (b"\xef\xbb\xbf" + CHINESE.encode(), None, CHINESE),
        (b"\xef\xbb\xbf" + CHINESE.encode(), "utf-8", CHINESE),
        (CHINESE.encode("utf-16"), None, CHINESE),
        (b"<meta charset=gbk>" + CHINESE.encode("gb18030"), None, f"<meta charset=gbk>{CHINESE}"),
        (b"<meta charset=gbk>" + CHINESE.encode(), "utf-8", f"<meta charset=gbk>{CHINESE}"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442".encode("koi8-r"), "koi8-r", "\u043f\u0440\u0438\u0432\u0435\u0442"),
        (CHINESE.encode(), "nonsense", CHINESE),
        (CHINESE.encode() + b"\xff", "utf-8", None),
    ],
)
def test_a_page_is_in_what_header_mark_or_page_say_if_it_decodes_so(data: bytes, charset: str | None, text: str | None) -> None:
    assert page_text(data, charset) == text


@pytest.mark.parametrize(
    ("start", "charset"),
    [
        (b"<meta charset=utf-8>", "utf-8"),
        (b"<META CHARSET = 'GBK'>", None),
        (b"<meta http-equiv='Content-Type' content='text/html; charset=Big5'>", "big5"),
        (b'<meta name=a content=b><meta charset="koi8-r" />', "koi8-r"),
        (b"<?xml version='1.0' encoding='gb2312'?>", "gb2312"),
        (b"<p>charset=utf-8", None),
        (b" " * 5000 + b"<meta charset=utf-8>", None),
        (b"<meta charset=", None),
    ],
)
def test_the_charset_of_a_page_is_that_of_its_meta_element(start: bytes, charset: str | None) -> None:
    assert named_charset(start) == charset


def test_the_header_s_charset_reaches_the_page(tmp_path: Path) -> None:
    body = f"<p>{FRENCH}</p>".encode("cp1252")
    (tmp_path / "a.warc").write_bytes(record(response(body, content_type=b'text/html; a=b; Charset="windows-1252"')))
    assert kept(tmp_path)[0].text == FRENCH


def test_a_page_in_no_encoding_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<meta charset=utf-8><p>" + CHINESE.encode() + b"\xe6")
    assert quarantined(tmp_path) == [("0", "undecodable")]


def test_the_extractor_is_part_of_what_is_built(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(html("words"))
    addresses = {Ingest(source=source_at(str(tmp_path), extractor=chosen)).address for chosen in ("resiliparse", "trafilatura")}
    assert len(addresses) == 2
    assert Ingest(source=source_at(str(tmp_path))).address in addresses
    with pytest.raises(RequestError, match="extractor is 'lynx': give one of resiliparse, trafilatura"):
        Files.at(str(tmp_path), extractor="lynx")  # type: ignore[arg-type]


def test_one_child_reads_many_pages_and_is_gone_after() -> None:
    reading = Extractor()
    assert [reading.page(html(f"page {number}")) for number in range(3)] == [Page(f"page {number}", {}) for number in range(3)]
    running = reading._child
    assert running is not None
    assert reading.close() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


def test_a_page_s_verdict_is_that_of_a_child_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child may be worn out by pages before: what it fails on is read again by another."""
    reading = Extractor()
    reading.page(html("first"))
    worn = reading._child
    assert worn is not None
    worn.send_signal(signal.SIGABRT)
    assert reading.page(html("second")) == Page("second", {})
    assert reading._child is not worn
    assert reading.close() == 0


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("SIGPROF", "extraction-timeout"),
        ("SIGALRM", "extraction-timeout"),
        ("SIGABRT", "extraction-memory"),
        ("SIGSEGV", "extraction-failed"),
    ],
)
def test_how_the_child_ends_says_why_a_page_has_no_text(end: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ends.py").write_text(f"import os, signal, sys\nsys.stdin.readline()\nos.kill(os.getpid(), signal.{end})")
    monkeypatch.setattr(extractor, "PROJECT", str(tmp_path))
    monkeypatch.setattr(child, "__name__", "ends")
    assert Extractor().page(html("words")) == reason


def test_a_child_that_ends_for_another_reason_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(3)")
    monkeypatch.setattr(extractor, "PROJECT", str(tmp_path))
    monkeypatch.setattr(child, "__name__", "ends")
    with pytest.raises(RunError, match="code 3; run the same command again"):
        Extractor().page(html("words"))


def test_an_exception_of_an_extractor_is_a_reason_and_an_interruption_is_none() -> None:
    def fails(problem: BaseException) -> Any:
        def extract(_: str, tree: Any) -> str:
            raise problem

        return child.answer(html("words"), None, extract)

    assert fails(ValueError("no")) == {"reason": "extraction-failed"}
    assert fails(RecursionError()) == {"reason": "extraction-failed"}
    assert fails(BaseException("panic")) == {"reason": "extraction-failed"}
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt())


def test_real_pages_have_text_with_either_extractor(shared_data: Path) -> None:
    for chosen, least in (("resiliparse", 21), ("trafilatura", 20)):
        source = Files.at(str(shared_data / "web" / "crawl-sample.warc.gz"), extractor=chosen)  # type: ignore[arg-type]
        records = [record for unit in source.partitions() for record in source.read(unit)]
        assert sum(isinstance(record, Document) and len(record.text) > 100 for record in records) >= least
