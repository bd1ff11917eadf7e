"""An HTTP response as a WARC record holds it: its header, and its body with chunks and compression undone, within bounds."""

import io
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.sources.extraction.page import PAGE_BYTES
from pipeline.sources.formats.members import INPUT_BYTES
from pipeline.sources.formats.streams import BOMB, EXPANSION, TRUNCATED, BrokenStream
from pipeline.sources.formats.warc_records import HEAD_BYTES, MALFORMED_HEADER, parsed

BROKEN_ENCODING, UNKNOWN_ENCODING, BROKEN_CHUNKS = "broken-content-encoding", "unknown-content-encoding", "broken-chunks"
MOST_ENCODINGS = 3
FREE_BODY_BYTES = 1 << 20
"""What may come out of a body whatever went in."""
HTML = frozenset({"text/html", "application/xhtml+xml"})


class Response(NamedTuple):
    """The status, the header (names in lower case) and the body of a response as it was sent."""

    status: int
    headers: Mapping[str, str]
    sent: bytes

    @property
    def content_type(self) -> str:
        """ "text/html", without its charset; "" where it is not told."""
        return self.headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        for parameter in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.partition(",")[0].strip()
        return None

    def body(self) -> bytes:
        """What the sender meant; raises BrokenStream."""
        names = ",".join(self.headers.get(header, "") for header in ("content-encoding", "transfer-encoding")).lower().split(",")
        encodings = [name for name in map(str.strip, names) if name not in ("", "identity")]
        if len(encodings) > MOST_ENCODINGS:
            raise BrokenStream(BOMB)
        data = self.sent
        for encoding in reversed(encodings):
            data = _decoded(data, encoding)
        return data


def response_of(content: bytes) -> Response:
    """The response that is the content of a record; raises BrokenStream for what is none."""
    head, body = _parts(content)
    words = head[: head.find(b"\n")].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not (words[1].isdigit() and len(words[1]) == 3):
        raise BrokenStream(MALFORMED_HEADER)
    return Response(int(words[1]), parsed(head), body)


def _parts(content: bytes) -> tuple[bytes, bytes]:
    """What is before and after the first empty line, with lines that end in either way."""
    ends = [(place + len(end), place) for end in (b"\r\n\r\n", b"\n\n") if (place := content.find(end, 0, HEAD_BYTES)) >= 0]
    if not ends:
        raise BrokenStream(MALFORMED_HEADER)
    after, before = min(ends)
    return content[: before + 1], content[after:]


def _decoded(data: bytes, encoding: str) -> bytes:
    """The bytes with one encoding undone; raises BrokenStream for wrong ones, and for more than they may become."""
    most = min(PAGE_BYTES, max(FREE_BODY_BYTES, EXPANSION * len(data)))
    match encoding:
        case "chunked":
            plain = _unchunked(data, most)
        case "gzip" | "x-gzip":
            plain = _inflated(data, zlib.MAX_WBITS | 16, most)
        case "deflate":
            plain = _inflated(data, zlib.MAX_WBITS if data[:1] == b"\x78" else -zlib.MAX_WBITS, most)
        case "br":
            plain = _unpacked(data, most)
        case "zstd":
            plain = _unframed(data, most)
        case _:
            raise BrokenStream(UNKNOWN_ENCODING)
    if len(plain) > most:
        raise BrokenStream(BOMB)
    return plain


def _inflated(data: bytes, window: int, most: int) -> bytes:
    decoder = zlib.decompressobj(window)
    try:
        plain = decoder.decompress(data, most + 1)
    except zlib.error as problem:
        raise BrokenStream(BROKEN_ENCODING) from problem
    return plain if len(plain) > most else _whole(decoder, plain)


def _whole(decoder: Any, plain: bytes) -> bytes:
    """What came out, unless something is missing or left over."""
    if not decoder.eof:
        raise BrokenStream(TRUNCATED)
    if decoder.unused_data.strip(b"\0\r\n"):
        raise BrokenStream(BROKEN_ENCODING)
    return plain


def _unpacked(data: bytes, most: int) -> bytes:
    from fastwarc.stream_io import BrotliReader

    try:
        return BrotliReader(io.BytesIO(data)).read(most + 1)
    except OSError as problem:
        raise BrokenStream(BROKEN_ENCODING) from problem


def _unframed(data: bytes, most: int) -> bytes:
    import zstandard

    decoder, plain = zstandard.ZstdDecompressor().decompressobj(), b""
    try:
        for start in range(0, len(data), INPUT_BYTES):
            if not decoder.eof and len(plain) <= most:
                plain += decoder.decompress(data[start : start + INPUT_BYTES])
    except zstandard.ZstdError as problem:
        raise BrokenStream(BROKEN_ENCODING) from problem
    return plain if len(plain) > most else _whole(decoder, plain)


def _unchunked(data: bytes, most: int) -> bytes:
    from fastwarc.stream_io import ChunkedReader

    try:
        return ChunkedReader(io.BytesIO(data)).read(most + 1)
    except OSError as problem:
        raise BrokenStream(BROKEN_CHUNKS) from problem
