"""Make WARC files and tar headers, sound ones and any other."""

import gzip
from collections.abc import Sequence

import zstandard

END = b"\r\n\r\n"
DATE = b"2024-02-03T04:05:06Z"


def html(words: str, head: str = "") -> bytes:
    """A page whose main text is the given words."""
    return f"<!doctype html><html><head>{head}</head><body><main><p>{words}</p></main></body></html>".encode()


def record(
    content: bytes, kind: bytes = b"response", length: bytes | None = None, url: bytes = b"http://a.example/", more: bytes = b""
) -> bytes:
    """A WARC record. `more` is further lines of its header, each with its end."""
    container = b"application/http; msgtype=response" if kind == b"response" else b"text/plain"
    head = b"WARC/1.1\r\nWARC-Type: %s\r\nWARC-Target-URI: %s\r\nWARC-Date: %s\r\nContent-Type: %s\r\n" % (kind, url, DATE, container)
    return head + more + b"Content-Length: %s\r\n\r\n" % (length if length is not None else b"%d" % len(content)) + content + END


def response(body: bytes, more: bytes = b"", content_type: bytes = b"text/html; charset=utf-8", status: bytes = b"200 OK") -> bytes:
    """An HTTP response. `more` is further lines of its header, each with its end."""
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\n%s\r\n%s" % (status, content_type, more, body)


def page(words: str, **options: bytes) -> bytes:
    """A record that holds a page."""
    return record(response(html(words), **options))


def chunked(body: bytes, size: int = 50) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def joined(records: Sequence[bytes], suffix: str) -> bytes:
    """Records as a file of the given suffix: with a gzip member or a zstd frame for each."""
    match suffix:
        case ".warc.gz":
            return b"".join(gzip.compress(content, mtime=0) for content in records)
        case ".warc.zst":
            return b"".join(zstandard.compress(content) for content in records)
    return b"".join(records)


def tar_header(name: bytes, size: bytes, kind: bytes = b"0", link: bytes = b"", prefix: bytes = b"") -> bytes:
    """A block of a ustar archive; `size` is the field as it stands there."""
    block = bytearray(512)
    for place, value in ((0, name), (100, b"0000644\0"), (124, size), (156, kind), (157, link), (257, b"ustar\x0000"), (345, prefix)):
        block[place : place + len(value)] = value
    return summed(bytes(block))


def summed(block: bytes) -> bytes:
    """A block with the checksum that it should have."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def tar_member(name: bytes, data: bytes, kind: bytes = b"0") -> bytes:
    """A member with its header."""
    return tar_header(name, octal(len(data)), kind) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(keywords: Sequence[tuple[bytes, bytes]]) -> bytes:
    """An extended header of the member after it."""
    return tar_member(b"pax", b"".join(pax_line(*pair) for pair in keywords), b"x")


def pax_line(keyword: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest
