"""WARC and WET files: which records are documents, what their text is, and what is said of them."""

import gzip
import json
import logging
import random
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import Document
from pipeline.sources.formats import warc_records as module
from pipeline.sources.formats.base import SourceFile
from pipeline.sources.formats.warc_records import warc_records
from tests.sources.containers import kept, quarantined, read
from tests.sources.web_archives import chunked, html, joined, page, record, response

SUFFIXES = [".warc", ".warc.gz", ".warc.zst"]
RECORDS = [
    record(b"software: x", b"warcinfo"),
    record(b"GET / HTTP/1.1\r\n\r\n", b"request"),
    page("first page"),
    record(response(b"\x89PNG\r\n\x1a\n\0\0", content_type=b"image/png")),
    record(response(html("moved"), status=b"301 Moved Permanently")),
    record(b"", b"revisit"),
    record("plain \u4e2d\u6587 text\n".encode(), b"conversion"),
    record(b"dns text", more=b"").replace(b"application/http; msgtype=response", b"text/dns"),
    page("last page"),
]
KEPT = [("2", "first page"), ("6", "plain \u4e2d\u6587 text\n"), ("8", "last page")]


def made(folder: Path, records: list[bytes], suffix: str = ".warc") -> Path:
    place = folder / f"a{suffix}"
    place.write_bytes(joined(records, suffix))
    return place


def meta(document: Document) -> dict[str, str]:
    fields: dict[str, str] = json.loads(document.meta)
    return fields


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pages_and_conversions_are_documents_and_other_records_are_passed_over(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        documents = kept(made(tmp_path, RECORDS, suffix))
    assert [(document.origin.rsplit("#")[1], document.text) for document in documents] == KEPT
    (message,) = caplog.messages
    assert message.endswith("they are neither pages nor texts: 1 warcinfo, 1 request, 1 image/png, 1 status 301, 1 revisit, 1 text/dns")


def test_all_records_in_one_gzip_member_or_cut_anywhere_are_the_same_records(tmp_path: Path) -> None:
    whole = b"".join(RECORDS)
    for cut in (len(whole), 1000, 77):
        parts = [whole[start : start + cut] for start in range(0, len(whole), cut)]
        place = made(tmp_path, parts, ".warc.gz")
        assert [(document.origin.rsplit("#")[1], document.text) for document in kept(place)] == KEPT


def test_lines_may_end_without_carriage_returns(tmp_path: Path) -> None:
    place = made(
        tmp_path, [content.replace(b"\r\n", b"\n") for content in (record(b"text", b"conversion"), record(b"more", b"conversion"))]
    )
    assert [document.text for document in kept(place)] == ["text", "more"]


def test_what_crawler_header_and_page_say_becomes_meta(tmp_path: Path) -> None:
    head = (
        "<title>A\n title</title><meta name=Robots content='NoAI, noindex'>"
        "<meta name=robots content=noimageai><meta name=tdm-reservation content=1>"
    )
    body = html("words", head).replace(b"<html>", b"<html lang=de-AT>")
    more = b"X-Robots-Tag: noarchive\r\nX-Robots-Tag: noindex\r\nContent-Language: fr\r\n"
    (document,) = kept(made(tmp_path, [record(response(body, more), url=b"<http://b.example/x>")]))
    assert meta(document) == {
        "url": "http://b.example/x",
        "date": "2024-02-03T04:05:06Z",
        "content_type": "text/html",
        "language": "de-AT",
        "title": "A title",
        "robots": "noarchive, noindex, noai, noimageai",
        "tdm_reservation": "1",
    }


@pytest.mark.parametrize(
    ("header", "element", "told"),
    [
        (b"1", "", "1"),
        (b"0", "", "0"),
        (b"", "1", "1"),
        (b"0", "1", "1"),
        (b"1", "0", "1"),
        (b"0", "0", "0"),
        (b"", "", None),
        (b"yes", "", None),
    ],
)
def test_mining_is_reserved_where_header_or_page_says_so(header: bytes, element: str, told: str | None, tmp_path: Path) -> None:
    head = f"<meta name='TDM-Reservation' content='{element}'>" if element else ""
    more = b"TDM-Reservation: %s\r\n" % header if header else b""
    (document,) = kept(made(tmp_path, [record(response(html("words", head), more))]))
    assert meta(document).get("tdm_reservation") == told


def test_language_is_the_header_s_where_the_page_names_none(tmp_path: Path) -> None:
    (document,) = kept(made(tmp_path, [page("words", more=b"Content-Language: fr\r\n")]))
    assert meta(document)["language"] == "fr"


def test_a_conversion_has_the_crawler_s_fields(tmp_path: Path) -> None:
    more = b"WARC-Identified-Content-Language: eng,zho\r\n"
    (document,) = kept(made(tmp_path, [record(b"words", b"conversion", more=more)]))
    assert meta(document) == {"url": "http://a.example/", "date": "2024-02-03T04:05:06Z", "language": "eng,zho"}


BODY = html("words in a compressed body " * 40)
RAW = zlib.compressobj(wbits=-15)
ENCODED = {
    b"gzip": gzip.compress(BODY),
    b"x-gzip": gzip.compress(BODY),
    b"deflate": zlib.compress(BODY),
    b"Deflate": RAW.compress(BODY) + RAW.flush(),
    b"br": brotli.compress(BODY),
    b"zstd": zstandard.compress(BODY),
    b"identity": BODY,
    b"gzip, br": brotli.compress(gzip.compress(BODY)),
}


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("encoding", ENCODED, ids=bytes.decode)
def test_compression_and_chunks_of_a_body_are_undone(encoding: bytes, in_chunks: bool, tmp_path: Path) -> None:
    body = chunked(ENCODED[encoding]) if in_chunks else ENCODED[encoding]
    more = b"Content-Encoding: %s\r\n%s" % (encoding, b"Transfer-Encoding: chunked\r\n" if in_chunks else b"")
    (document,) = kept(made(tmp_path, [record(response(body, more))]))
    assert document.text == ("words in a compressed body " * 40).strip()


@pytest.mark.parametrize("more", [b"", b"WARC-Identified-Payload-Type: text/html\r\n"])
def test_a_response_without_a_type_is_a_page_where_it_is_one(more: bytes, tmp_path: Path) -> None:
    content = response(html("words")).replace(b"Content-Type: text/html; charset=utf-8\r\n", b"")
    assert [document.text for document in kept(made(tmp_path, [record(content, more=more)]))] == ["words"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_record_too_large_to_hold_is_lost_only_if_it_is_a_document(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORD_BYTES", 1 << 20)
    noise = random.Random(7).randbytes(2 << 20)
    large = [record(response(noise, content_type=b"video/mp4")), record(response(noise)), record(noise, b"resource")]
    place = made(tmp_path, [page("before"), *large, page("after")], suffix)
    assert quarantined(place) == [("2", "too-large")]
    assert [record.text for record in read(place) if isinstance(record, Document)] == ["before", "after"]


@given(
    contents=st.lists(
        st.tuples(st.sampled_from([b"response", b"conversion", b"request", b"metadata"]), st.binary(max_size=300)), max_size=8
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_sound_records_are_those_that_were_written_whatever_they_hold(
    contents: list[tuple[bytes, bytes]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = made(tmp_path_factory.mktemp("warc"), [record(content, kind) for kind, content in contents], suffix)
    found = [(found.headers["warc-type"].encode(), found.content, found.fault) for found in warc_records(SourceFile(place, place.name))]
    assert found == [(kind, content, None) for kind, content in contents]


@pytest.mark.parametrize("name", ["handbook.warc.gz", "crawl-sample.warc.gz"])
def test_records_of_real_files_are_those_that_fastwarc_finds(name: str, shared_data: Path) -> None:
    from fastwarc.warc import ArchiveIterator

    place = shared_data / "web" / name
    with place.open("rb") as stream:
        expected = [(found.headers["WARC-Record-ID"], found.reader.read()) for found in ArchiveIterator(stream, parse_http=False)]
    mine = [(found.headers["warc-record-id"], found.content) for found in warc_records(SourceFile(place, name))]
    assert mine == expected


def test_every_page_of_real_files_has_text(shared_data: Path) -> None:
    for name, pages in {"handbook.warc.gz": 508, "crawl-sample.warc.gz": 22}.items():
        documents = kept(shared_data / "web" / name)
        assert len(documents) == pages
        assert all(meta(document)["url"].startswith("http") for document in documents)
    assert "RAID" in kept(shared_data / "web" / "handbook.warc.gz")[0].text


def test_real_texts_with_lengths_in_characters_are_found_and_quarantined_one_by_one(shared_data: Path) -> None:
    assert quarantined(shared_data / "web" / "sample.wet") == [(place, "lying-length") for place in "123"]


def test_places_do_not_depend_on_compression(tmp_path: Path) -> None:
    broken = [*RECORDS[:4], record(b"x" * 10, b"conversion", length=b"4"), *RECORDS[4:]]
    found = {suffix: [record.origin.rsplit("#")[1] for record in read(made(tmp_path, broken, suffix))] for suffix in SUFFIXES}
    assert found[".warc"] == found[".warc.gz"] == found[".warc.zst"] == ["2", "4", "7", "9"]
