"""Hostile WARC files and pages: each ends in a reason, within bounds, and what comes after it is read."""

import gzip
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from pipeline.documents import Documents
from pipeline.sources.extraction import extractor
from pipeline.sources.formats import streams, warc_records
from pipeline.sources.ingest import Ingest
from tests.sources.bounds import judged
from tests.sources.test_warc import SUFFIXES
from tests.sources.web_archives import chunked, html, joined, page, record, response

Build = Callable[[Ingest], Documents]
PAGE = response(html("a page"))
GZIP, CHUNKED = b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n"
NOISE = random.Random(7).randbytes(1000)

LYING = {
    "long by a little": (record(PAGE, length=b"%d" % (len(PAGE) + 9)), {"lying-length", "truncated"}),
    "long by records": (record(PAGE, length=b"%d" % (len(PAGE) + 700)), {"lying-length", "truncated"}),
    "longer than the file": (record(PAGE, length=b"60000000"), {"lying-length", "truncated"}),
    "longer than memory": (record(PAGE, length=b"9" * 18), {"too-large"}),
    "short": (record(PAGE, length=b"50"), {"lying-length"}),
    "nothing": (record(PAGE, length=b"0"), {"lying-length"}),
}
MALFORMED = {
    "negative length": record(PAGE, length=b"-5"),
    "length of words": record(PAGE, length=b"many"),
    "length without end": record(PAGE, length=b"1" * 5000),
    "length in other digits": record(PAGE, length="\u0661\u0662".encode()),
    "two lengths": record(PAGE, more=b"Content-Length: 5\r\n"),
    "no length": record(PAGE).replace(b"Content-Length: ", b"Content-Size: ", 1),
    "header line of megabytes": record(PAGE, more=b"X: " + b"a" * 4_000_000 + b"\r\n"),
    "hundred thousand header lines": record(PAGE, more=b"X: a\r\n" * 100_000),
    "header of one line going on and on": record(PAGE, more=b"X: a\r\n" + b" a\r\n" * 100_000),
    "no type": record(PAGE, more=b"").replace(b"WARC-Type: response\r\n", b""),
    "no status line": record(PAGE.replace(b"HTTP/1.1 200 OK", b"nonsense")),
    "status without number": record(PAGE.replace(b"200", b"OK!")),
    "HTTP header without end": record(PAGE[: PAGE.index(b"\r\n\r\n")]),
    "HTTP header of megabytes": record(response(html("a page"), b"X: " + b"a" * 3_000_000 + b"\r\n")),
    "nothing in it": record(b""),
}
BODIES = {
    "gzip cut off": (GZIP, gzip.compress(PAGE)[:-12], "truncated"),
    "gzip with wrong checksum": (GZIP, gzip.compress(PAGE)[:-8] + b"\1" * 8, "broken-content-encoding"),
    "gzip that is none": (GZIP, html("a page"), "broken-content-encoding"),
    "gzip with more after it": (GZIP, gzip.compress(PAGE) + b"and more", "broken-content-encoding"),
    "deflate that is none": (b"Content-Encoding: deflate\r\n", b"\xff" * 100, "broken-content-encoding"),
    "brotli cut off": (b"Content-Encoding: br\r\n", brotli.compress(NOISE)[:-30], "broken-content-encoding"),
    "brotli that is none": (b"Content-Encoding: br\r\n", b"\xff" * 100, "broken-content-encoding"),
    "zstd cut off": (b"Content-Encoding: zstd\r\n", zstandard.compress(PAGE)[:-5], "truncated"),
    "zstd that is none": (b"Content-Encoding: zstd\r\n", NOISE, "broken-content-encoding"),
    "an encoding that nobody knows": (b"Content-Encoding: rot13\r\n", html("a page"), "unknown-content-encoding"),
    "a hundred encodings": (b"Content-Encoding: " + b"gzip," * 100 + b"\r\n", gzip.compress(PAGE), "decompression-limit"),
    "gzip bomb": (GZIP, gzip.compress(bytes(200_000_000)), "decompression-limit"),
    "gzip bomb in a gzip bomb": (
        b"Content-Encoding: gzip, gzip\r\n",
        gzip.compress(gzip.compress(bytes(200_000_000))),
        "decompression-limit",
    ),
    "deflate bomb": (b"Content-Encoding: deflate\r\n", zlib.compress(bytes(200_000_000)), "decompression-limit"),
    "brotli bomb": (b"Content-Encoding: br\r\n", brotli.compress(bytes(100_000_000), quality=1), "decompression-limit"),
    "zstd bomb": (b"Content-Encoding: zstd\r\n", zstandard.compress(bytes(200_000_000)), "decompression-limit"),
    "chunks that are none": (CHUNKED, html("a page"), "broken-chunks"),
    "chunks cut off": (CHUNKED, chunked(html("a page" * 99))[:-80], "broken-chunks"),
    "a chunk of negative size": (CHUNKED, b"-5\r\nabc\r\n0\r\n\r\n", "broken-chunks"),
    "a chunk larger than memory": (CHUNKED, b"7fffffffffff\r\nabc\r\n0\r\n\r\n", "broken-chunks"),
    "a chunk size without end": (CHUNKED, b"f" * 3_000_000, "broken-chunks"),
    "NUL bytes": (b"", html("a \0 page"), "not-a-page"),
    "an image": (b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + NOISE, "not-a-page"),
    "wrong UTF-8": (b"", html("a page " * 9)[:-40] + b"\xe6\x96" + "\u4e2d\u6587".encode() * 9, "undecodable"),
    "nothing": (b"", b"", "page-without-text"),
    "no text": (b"", html("   "), "page-without-text"),
    "only a script": (b"", b"<script>" + b"a()" * 99, "page-without-text"),
    "more than a page has": (
        b"Content-Encoding: gzip\r\n",
        gzip.compress(random.Random(1).randbytes(1 << 20).hex().encode() * 9),
        "decompression-limit",
    ),
}
TEXTS = {"NUL bytes": (b"a \0 text", "binary"), "wrong UTF-8": (b"a text \xff\xfe", "undecodable"), "nothing": (b"", "empty-text")}


def outcomes(content: list[bytes], suffix: str, folder: Path, build: Build) -> list[str]:
    (folder / "data").mkdir()
    (folder / "data" / f"a{suffix}").write_bytes(joined(content, suffix))
    (folder / "data" / "z.txt").write_text("the next file")
    found = judged(folder / "data", build)
    assert found[-1] == "the next file"
    return found[:-1]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", LYING)
def test_a_record_that_lies_about_its_length_takes_no_other_with_it(name: str, suffix: str, tmp_path: Path, build: Build) -> None:
    lie, reasons = LYING[name]
    first, bad, *others = outcomes([page("one"), lie, page("two"), page("three")], suffix, tmp_path, build)
    assert first == "one"
    assert bad in reasons
    assert others == ["two", "three"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_is_one_bad_record(name: str, suffix: str, tmp_path: Path, build: Build) -> None:
    found = outcomes([page("one"), MALFORMED[name], page("two"), page("three")], suffix, tmp_path, build)
    assert found == ["one", "malformed-header", "two", "three"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rubbish", [b"nonsense\n" * 300, b"a" * 3_000_000 + b"\r\n\r\n", b"\0" * 5000], ids=["lines", "a line", "zeros"])
def test_rubbish_after_a_record_makes_its_end_doubtful_and_is_passed_over(
    rubbish: bytes, suffix: str, tmp_path: Path, build: Build
) -> None:
    found = outcomes([rubbish, page("one"), page("two"), rubbish, page("three")], suffix, tmp_path, build)
    assert found == ["malformed-header", "one", "lying-length", "three"]


@pytest.mark.parametrize("kept", [30, 200, 300, 400])
def test_a_crawl_that_was_cut_off_and_went_on_in_the_same_file_loses_one_record(kept: int, tmp_path: Path, build: Build) -> None:
    found = outcomes([page("one"), page("lost " * 99)[:kept], page("two"), page("three")], ".warc", tmp_path, build)
    assert found[:1] + found[-2:] == ["one", "two", "three"]
    assert found[1:-2] in (["lying-length"], ["malformed-header"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_broken_or_explodes_is_one_bad_record(name: str, tmp_path: Path, build: Build) -> None:
    more, body, reason = BODIES[name]
    assert outcomes([page("one"), record(response(body, more)), page("two")], ".warc", tmp_path, build) == ["one", reason, "two"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_none_is_one_bad_record(name: str, tmp_path: Path, build: Build) -> None:
    text, reason = TEXTS[name]
    content = [record(b"one", b"conversion"), record(text, b"conversion"), record(b"two", b"conversion")]
    assert outcomes(content, ".wet", tmp_path, build) == ["one", reason, "two"]


@pytest.mark.parametrize("name", [b"hex", b"zip", b"punycode", b"unicode_escape", b"utf-7", b"\xed\xa0\x80", b"a" * 9999, b"", b'"utf-8'])
def test_a_charset_of_no_text_is_not_believed(name: bytes, tmp_path: Path, build: Build) -> None:
    content = record(response("w\u00f6rds".join(["<p>"] * 2).encode(), content_type=b"text/html; charset=" + name))
    assert outcomes([content, page("two")], ".warc", tmp_path, build) == ["w\u00f6rds", "two"]


@pytest.mark.parametrize("wrong", [b"\xed\xa0\x80", b"\0", b"\xff\xfe", b"\x1b[31m", b"a" * 30_000], ids=repr)
def test_wrong_bytes_in_headers_cost_no_page(wrong: bytes, tmp_path: Path, build: Build) -> None:
    wild = record(response(html("words"), b"Content-Language: %s\r\nX-Robots-Tag: %s\r\n" % (wrong, wrong)), url=wrong)
    assert outcomes([wild, page("two")], ".warc.gz", tmp_path, build) == ["words", "two"]


def damaged(member: bytes, place: int, wrong: bytes) -> bytes:
    return member[:place] + wrong + member[place + len(wrong) :]


WHOLE = gzip.compress(page("lost " + NOISE.hex()), mtime=0)
FRAME = zstandard.compress(page("lost " + NOISE.hex()))
MEMBERS = {
    "its middle overwritten": (damaged(WHOLE, 300, bytes(40)), damaged(FRAME, 300, bytes(40))),
    "its beginning overwritten": (damaged(WHOLE, 0, bytes(4)), damaged(FRAME, 0, bytes(4))),
    "its end cut off": (WHOLE[:-20], FRAME[:-20]),
    "almost all cut off": (WHOLE[:15], FRAME[:7]),
    "another compression": (FRAME, WHOLE),
    "no compression": (page("lost"), page("lost")),
    "a bomb": (gzip.compress(record(bytes(150_000_000))), zstandard.compress(record(bytes(150_000_000)))),
    "a bomb in its header": (
        gzip.compress(b"WARC/1.1\r\nX: " + b"a" * 150_000_000),
        zstandard.compress(b"WARC/1.1\r\nX: " + b"a" * 150_000_000),
    ),
    "a thousand false beginnings": (b"\x1f\x8b\x08\0\0\0\0\0\0\3" * 1000, b"\x28\xb5\x2f\xfd\0\x58" * 1000),
}


@pytest.mark.parametrize("suffix", [".warc.gz", ".warc.zst"])
@pytest.mark.parametrize("name", MEMBERS)
def test_a_broken_member_ends_itself_alone(name: str, suffix: str, tmp_path: Path, build: Build) -> None:
    (tmp_path / "data").mkdir()
    sound = [joined([page(words)], suffix) for words in ("one", "two", "three")]
    (tmp_path / "data" / f"a{suffix}").write_bytes(sound[0] + MEMBERS[name][suffix == ".warc.zst"] + sound[1] + sound[2])
    found = judged(tmp_path / "data", build)
    assert (found[0], found[-2:]) == ("one", ["two", "three"])
    assert set(found[1:-2]) <= {"damaged-file", "truncated", "decompression-limit", "malformed-header", "lying-length", "too-large"}
    assert found[1:-2]


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", WHOLE[:30], FRAME, WHOLE + b"rubbish" * 20, WHOLE + bytes(5000)],
    ids=["empty", "text", "cut", "zstd", "more", "zeros"],
)
def test_a_file_that_is_no_archive_ends_in_a_reason(content: bytes, tmp_path: Path, build: Build) -> None:
    (tmp_path / "a.warc.gz").write_bytes(content)
    (tmp_path / "z.txt").write_text("the next file")
    *found, last = judged(tmp_path, build)
    assert last == "the next file"
    assert found[-1:] == ([] if not content else ["truncated"] if content == WHOLE[:30] else ["damaged-file"])


@pytest.mark.parametrize("suffix", [".warc.gz", ".warc.zst"])
def test_a_file_of_bombs_is_given_up_when_it_has_had_its_share(
    suffix: str, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 64 << 20)
    bomb = joined([record(bytes(40_000_000))], suffix)
    (tmp_path / f"a{suffix}").write_bytes(bomb * 50)
    (tmp_path / "z.txt").write_text("the next file")
    *found, last = judged(tmp_path, build)
    assert found[-1] == "decompression-limit"
    assert len(found) < 50
    assert last == "the next file"


def test_records_that_all_claim_the_rest_of_the_file_are_given_up(tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read over again for the records in it: without a bound that takes time as the square of the size."""
    monkeypatch.setattr(warc_records, "GIVEN_BACK_BYTES", 64 << 20)
    content = record(PAGE, length=b"60000000") * 10_000
    (tmp_path / "a.warc").write_bytes(content)
    (tmp_path / "z.txt").write_text("the next file")
    *found, last = judged(tmp_path, build)
    assert set(found) == {"lying-length"}
    assert 1 < len(found) < 1000
    assert last == "the next file"


def test_a_record_that_claims_a_hundred_thousand_others_costs_none_of_them(tmp_path: Path, build: Build) -> None:
    others = b"".join(record(b"text", b"conversion", url=b"") for _ in range(100_000))
    (tmp_path / "a.warc").write_bytes(record(PAGE, length=b"60000000") + others)
    found = judged(tmp_path, build)
    assert found == ["lying-length"] + ["text"] * 100_000


def test_members_within_members_within_members_are_given_up(tmp_path: Path, build: Build) -> None:
    """A stored block holds the next member, and so on: each is broken at its end, and would be read to there."""
    nested = b""
    for _ in range(1000):
        inner = b"WARC/1.1\r\n" + nested[:60_000]
        nested = (
            b"\x1f\x8b\x08\0\0\0\0\0\0\3\0"
            + len(inner).to_bytes(2, "little")
            + (len(inner) ^ 0xFFFF).to_bytes(2, "little")
            + inner
            + nested[60_000:]
        )
    (tmp_path / "a.warc.gz").write_bytes(nested)
    (tmp_path / "z.txt").write_text("the next file")
    *found, last = judged(tmp_path, build)
    assert 0 < len(found) < 100_000
    assert last == "the next file"


PAGES = {
    "a hundred thousand levels": b"<div>" * 100_000 + b"x",
    "a million levels": b"<div>" * 1_000_000 + b"x",
    "bold a hundred thousand times": b"<b>" * 100_000 + b"x",
    "tables in tables": b"<table><tr><td>" * 50_000 + b"x",
    "lists in lists": b"<ul><li>" * 100_000 + b"x",
    "a table of half a million cells": b"<table><tr>" + b"<td>x" * 500_000,
    "cells over millions of rows": b"<table>" + b"<tr><td colspan=1000 rowspan=65534>x" * 10_000,
    "an attribute of megabytes": b'<p title="' + b"a" * 4_000_000 + b'">x</p>',
    "a hundred thousand attributes": b"<p " + b" ".join(b"a%d=1" % number for number in range(100_000)) + b">x</p>",
    "a tag of megabytes": b"<" + b"a" * 4_000_000 + b">x",
    "links that never end": b"<a href=x>" * 300_000 + b"x",
    "paragraphs that never end": b"<p>x" * 200_000,
    "formatting that is carried on": b"<b><i><p>" * 20_000 + b"x",
    "comments that never end": b"<!--" * 1_000_000,
    "brackets that open nothing": b"<" * 2_000_000,
    "half a million line breaks": b"<br>" * 500_000 + b"x",
    "three hundred thousand spans": b"<p>" + b"<span>a</span>" * 300_000,
    "a hundred thousand links": b"<p>" + b'<a href="http://x/">link link</a> ' * 100_000,
    "templates in templates": b"<p>words</p>" + b"<template>" * 100_000,
    "drawings in drawings": b"<svg>" * 100_000 + b"x",
    "forms and selections": b"<form><select><option>" * 50_000 + b"x",
    "a million entities": b"<p>" + b"&amp;&#x110000;&#xD800;" * 100_000,
    "entities that explode": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "b">'
    + b"".join(b'<!ENTITY a%d "%s">' % (number + 1, b"&a%d;" % number * 9) for number in range(30))
    + b"]><html><body>&a30;</body></html>",
    "a class of megabytes": b'<p id=main class="' + b"content " * 300_000 + b'">x</p>',
    "a title of megabytes": b"<title>" + b"t" * 4_000_000 + b"</title><p>x",
    "a hundred thousand meta elements": b"<meta name=robots content=a>" * 100_000 + b"<p>x",
    "quotes that never end": b"<p title='" + b'"' * 2_000_000,
    "high bytes in no encoding": bytes(range(128, 256)) * 10_000,
    "spaces and nothing else": b" \t\r\n" * 1_000_000,
    "a page of seventeen megabytes": b"<p>" + b"word " * 3_500_000,
}
FAULTS = {"extraction-timeout", "extraction-memory", "extraction-failed", "page-without-text", "too-large", "undecodable", "not-a-page"}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("chosen", ["resiliparse", "trafilatura"])
def test_a_hostile_page_ends_within_bounds_and_the_next_is_read(
    chosen: Any, name: str, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "CPU_SECONDS", 0.6)
    monkeypatch.setattr(extractor, "MEMORY_BYTES", 400 << 20)
    (tmp_path / "a.html").write_bytes(PAGES[name])
    words = "the words of the next page, which are read as they are. " * 20
    (tmp_path / "b.html").write_bytes(html(words))
    bad, good = judged(tmp_path, build, extractor=chosen)
    assert bad in FAULTS or len(bad) <= 2 * len(PAGES[name])
    assert good == words.strip()


@pytest.mark.parametrize(
    ("chosen", "name", "reason"),
    [
        ("resiliparse", "a million levels", "extraction-timeout"),
        ("trafilatura", "a hundred thousand attributes", "extraction-timeout"),
        ("resiliparse", "a table of half a million cells", "extraction-memory"),
        ("trafilatura", "paragraphs that never end", "extraction-memory"),
        ("resiliparse", "a page of seventeen megabytes", "too-large"),
    ],
)
def test_what_exceeds_its_bound_is_told(
    chosen: Any, name: str, reason: str, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "CPU_SECONDS", 1.0 if reason == "extraction-timeout" else 30.0)
    monkeypatch.setattr(extractor, "MEMORY_BYTES", 250 << 20)
    (tmp_path / "a.html").write_bytes(PAGES[name])
    assert judged(tmp_path, build, extractor=chosen) == [reason]
