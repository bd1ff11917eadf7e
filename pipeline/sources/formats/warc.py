"""Web archives: WARC, of pages, and WET, of texts. A record's place is its number in the file, from 0, all records counted.

Responses with a page (status 200, HTML) and conversions are documents. Other records are none: requests and the
like, errors and redirections, and responses that say themselves that they are of another kind, such as images.
These are not lost, and so not quarantined; how many there were is logged. A response that says it is a page and
is none, or any document that is broken, is quarantined. So is a record whose type cannot be read.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.sources.extraction.page import reservation_of, robots_of, shown
from pipeline.sources.formats.base import UNDECODABLE, Bad, Format, Record, SourceFile
from pipeline.sources.formats.encodings import BINARY
from pipeline.sources.formats.http_response import HTML, Response, response_of
from pipeline.sources.formats.streams import BrokenStream
from pipeline.sources.formats.warc_records import MALFORMED_HEADER, WarcRecord, warc_records

OK = 200
HTTP = "application/http"
SNIFFED_BYTES = 512
SHOWN_KINDS, MOST_KINDS, KIND_CHARACTERS = 8, 1000, 60
log = logging.getLogger(__name__)


class Warc(Format):
    """WARC and WET files."""

    has_fields = False
    suffixes = (".warc", ".wet")

    def read(self, file: SourceFile, text_field: str) -> Iterator[Record | Bad]:  # noqa: ARG002 (what the text is follows from the type)
        passed = Counter[str]()
        for place, record in enumerate(warc_records(file)):
            document = _document(place, record, file)
            if not isinstance(document, str):
                yield document
            elif document in passed or len(passed) < MOST_KINDS:
                passed[document] += 1
        if passed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in passed.most_common(SHOWN_KINDS))
            log.warning("%s: passed over, for they are neither pages nor texts: %s", file.name, kinds)


def _document(place: int, record: WarcRecord, file: SourceFile) -> Record | Bad | str:
    """A record as a document; for one that is none its kind."""
    match record.headers.get("warc-type", "").lower():
        case "response":
            return _page(place, record, file)
        case "conversion":
            return _text(place, record)
        case "":
            return Bad(place, record.fault or MALFORMED_HEADER)
        case kind:
            return _kind(kind)


def _page(place: int, record: WarcRecord, file: SourceFile) -> Record | Bad | str:
    container = record.headers.get("content-type", HTTP)
    if not container.lower().startswith(HTTP):
        return _kind(container)
    try:
        response = response_of(record.content)
        content_type = response.content_type or _identified(record, response)
        if response.status != OK:
            return f"status {response.status}"
        if content_type not in HTML and (content_type or not record.fault):
            return _kind(content_type)
        page = record.fault or file.extractor.page(response.body(), response.charset)
    except BrokenStream as problem:
        return Bad(place, record.fault or problem.reason)
    if isinstance(page, str):
        return Bad(place, page)
    return Record(place, page.text, _fields(record) | _of_page(content_type, response.headers, page.fields))


def _identified(record: WarcRecord, response: Response) -> str:
    """The type of a response that does not say it: what the crawler found, or HTML where it begins so."""
    begins = response.sent[:SNIFFED_BYTES].lstrip().lower()
    html = "text/html" if begins.startswith((b"<!doctype html", b"<html")) else ""
    return record.headers.get("warc-identified-payload-type", html).lower()


def _text(place: int, record: WarcRecord) -> Record | Bad:
    if record.fault:
        return Bad(place, record.fault)
    if b"\0" in record.content:
        return Bad(place, BINARY)
    try:
        return Record(place, record.content.decode(), _fields(record))
    except UnicodeDecodeError:
        return Bad(place, UNDECODABLE)


def _fields(record: WarcRecord) -> dict[str, str]:
    """What the crawler says of a document."""
    named = {"url": "warc-target-uri", "date": "warc-date", "language": "warc-identified-content-language"}
    found = {field: shown(record.headers.get(name, "")).strip("<>") for field, name in named.items()}
    return {field: value for field, value in found.items() if value}


def _of_page(content_type: str, headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a page and the header that it came with say of it."""
    both = {
        "content_type": content_type,
        "language": own.get("language") or shown(headers.get("content-language", "")),
        "title": own.get("title", ""),
        "robots": robots_of((headers.get("x-robots-tag", ""), own.get("robots", ""))),
        "tdm_reservation": reservation_of((*headers.get("tdm-reservation", "").split(","), own.get("tdm_reservation", ""))),
    }
    return {field: value for field, value in both.items() if value}


def _kind(name: str) -> str:
    """A type as it is counted: a short word, whatever a header holds."""
    kind = "".join(sign for sign in name[:KIND_CHARACTERS] if sign.isprintable()).partition(";")[0].strip()
    return kind or "no type"
