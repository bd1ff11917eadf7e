"""A web page's bytes as its text and what the page says about itself. It is called in the child that `child.py` is."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline.sources.formats.encodings import MARKS, decode

NOT_A_PAGE, UNDECODABLE, WITHOUT_TEXT, TOO_LARGE = "not-a-page", "undecodable", "page-without-text", "too-large"
PAGE_BYTES = 16 << 20
"""No page may be larger, as bytes or as text: crawlers cut them at one to five MiB."""
FIELD_CHARACTERS = 2000
"""What of a title and the like is kept."""
SHOWN_BYTES = 4096
"""Where a page says in which encoding it is: browsers look at the first 1024 bytes."""
QUOTES = "\"'"


def read_page(data: bytes, charset: str | None, extract: Callable[[str, Any], str]) -> dict[str, Any]:
    """{"text": …, "fields": {…}} of a page with the HTTP header's charset; {"reason": …} where it has no text."""
    from resiliparse.parse.html import HTMLTree

    html = page_text(data, charset)
    if html is None or "\0" in html:
        return {"reason": NOT_A_PAGE if b"\0" in data else UNDECODABLE}
    tree = HTMLTree.parse(html)
    fields = dict(own_fields(tree))
    text = extract(html, tree).strip()
    if not text:
        return {"reason": WITHOUT_TEXT}
    return {"reason": TOO_LARGE} if len(text) > PAGE_BYTES else {"text": text, "fields": fields}


def page_text(data: bytes, charset: str | None) -> str | None:
    """The page as characters, in the first encoding that it wholly decodes in: the HTTP header's, that of a
    byte-order mark, the one that the page names, or the one that it seems to be in."""
    marked = next((encoding for mark, encoding in MARKS if data.startswith(mark)), None)
    for encoding in (_known(charset), marked, _known(named_charset(data))):
        if encoding and (text := decode(data, encoding)) is not None:
            return text.removeprefix("\ufeff")
    return decode(data)


def _known(charset: str | None) -> str | None:
    """A name of the web for an encoding as Python's; None for those that browsers do not know, and that may be none of text."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    known = charset and map_encoding_to_html5(charset.strip(f"{QUOTES} "), fallback_utf8=False)
    return {"gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "utf-8": "utf-8-sig"}.get(known, known) if known else None


def named_charset(data: bytes) -> str | None:
    """The charset of a page's first meta element or XML declaration that has one."""
    start = data[:SHOWN_BYTES].decode("latin-1").lower()
    for opening, name in (("<meta", "charset"), ("<?xml", "encoding")):
        for element in start.split(opening)[1:]:
            _, equals, value = element.partition(">")[0].partition(f"{name}=")
            if equals and (words := value.lstrip(f"{QUOTES} ").replace(";", " ").split()):
                return words[0].strip(f"{QUOTES}/?>")
    return None


def own_fields(tree: Any) -> Iterator[tuple[str, str]]:
    """Title and language of a page, and what it says about its use: only what is there."""
    if title := shown(tree.title or ""):
        yield "title", title
    root = tree.document.query_selector("html")
    language = root and (root.getattr("lang") or root.getattr("xml:lang"))
    metas = [(_attribute(meta, "name") or _attribute(meta, "http-equiv"), meta.getattr("content") or "") for meta in _metas(tree)]
    if language := shown(language or next((content for name, content in metas if name == "content-language"), "")):
        yield "language", language
    if robots := robots_of(content for name, content in metas if name == "robots"):
        yield "robots", robots
    if reserved := reservation_of(content for name, content in metas if name == "tdm-reservation"):
        yield "tdm_reservation", reserved


def _metas(tree: Any) -> Iterable[Any]:
    metas: Iterable[Any] = tree.document.get_elements_by_tag_name("meta")
    return metas


def _attribute(element: Any, name: str) -> str:
    return (element.getattr(name) or "").strip().lower()


def shown(text: str) -> str:
    """Text of a header or an attribute on one line, of bounded length."""
    return " ".join(text[: 4 * FIELD_CHARACTERS].split())[:FIELD_CHARACTERS]


def robots_of(values: Iterable[str]) -> str:
    """All that robots are told, in lower case: "noindex, noai"; "" where nothing is."""
    words = [word.strip().lower() for value in values for word in value.split(",")]
    return shown(", ".join(dict.fromkeys(word for word in words if word)))


def reservation_of(values: Iterable[str]) -> str:
    """Whether text and data mining is reserved (TDMRep of the W3C): "1" where anything says so, "0" where all say not, else ""."""
    said = [value.strip() for value in values]
    return "1" if "1" in said else "0" if "0" in said else ""
