"""Pages from addresses on a list are dropped, however the address is spelled."""

import json
from pathlib import Path

import pytest

from pipeline.documents import Document
from pipeline.errors import RequestError, RunError
from pipeline.filters.url_blocklist import UrlBlocklist
from pipeline.workflow.fingerprint import canonical, fingerprint

LIST = """# what is blocked
example.com
*.wild.example.org
.xxx

bücher.de
https://news.example.net/comments/
Forum.example.net/Thread?id=
casino
博彩
"""


@pytest.fixture
def blocklist(tmp_path: Path) -> UrlBlocklist:
    place = tmp_path / "list.txt"
    place.write_text(LIST, "utf-8")
    return UrlBlocklist.at(str(place))


def reason(rule: UrlBlocklist, url: str) -> str | None:
    return rule.verdict(Document("id", "text", "source", "origin#0", "2026-11", json.dumps({"url": url})))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://example.com",
            "http://EXAMPLE.com/a",
            "https://www.example.com./",
            "https://a.b.example.com:8080/x",
            "https://u:p@example.com/",
        ),
        *(
            "https://deep.wild.example.org/",
            "https://some.xxx/",
            "https://bücher.de/",
            "https://xn--bcher-kva.de/",
            "https://shop.XN--BCHER-KVA.de/",
        ),
    ],
)
def test_a_domain_is_blocked_with_its_subdomains_in_every_spelling(blocklist: UrlBlocklist, url: str) -> None:
    assert reason(blocklist, url) == "blocked-domain"


@pytest.mark.parametrize(
    "url", ["https://news.example.net/comments/7", "http://www.news.example.net/Comments/", "https://forum.example.net/thread?id=9"]
)
def test_the_beginning_of_an_address_is_blocked(blocklist: UrlBlocklist, url: str) -> None:
    assert reason(blocklist, url) == "blocked-address"


@pytest.mark.parametrize(
    "url", ["https://best-casino.net/", "https://x.org/CASINO/a", "https://x.org/?q=casino", "https://x.org/%E5%8D%9A%E5%BD%A9%E7%BD%91"]
)
def test_a_word_is_blocked_wherever_it_stands(blocklist: UrlBlocklist, url: str) -> None:
    assert reason(blocklist, url) == "blocked-word"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://example.org/",
            "https://notexample.com/",
            "https://example.com.net/",
            "https://news.example.net/comment",
            "https://x.org/casinos",
        ),
        *(
            "https://bucher.de/",
            "https://xn--/",
            "https://[::1",
            "https://",
            "no address",
            "ftp://example.com/",
            "https://x.org/example.com",
        ),
    ],
)
def test_other_addresses_are_kept(blocklist: UrlBlocklist, url: str) -> None:
    assert reason(blocklist, url) is None


@pytest.mark.parametrize("piece", ["a.", "xn--a.", "%2e", "/", "casin", "?", "[", "@", ":"])
def test_a_hostile_address_takes_no_longer_than_its_length(blocklist: UrlBlocklist, piece: str) -> None:
    assert reason(blocklist, f"https://{piece * 200_000}example.com") in ("blocked-domain", None)


def test_without_a_url_the_origin_counts_if_it_is_an_address(blocklist: UrlBlocklist) -> None:
    def from_origin(origin: str) -> str | None:
        return blocklist.verdict(Document("id", "text", "source", origin, "2026-11"))

    assert from_origin("https://example.com/file.jsonl#3") == "blocked-domain"
    assert from_origin("example.com/file.jsonl#3") is None


def test_the_list_without_a_file_blocks_nothing() -> None:
    assert reason(UrlBlocklist(), "https://example.com/") is None


def test_the_content_is_the_identity_wherever_it_lies(tmp_path: Path) -> None:
    for name, content in (("one", LIST), ("same", LIST), ("other", f"{LIST}more.org\n")):
        (tmp_path / name).write_text(content, "utf-8")
    one, same, other = (fingerprint(canonical(UrlBlocklist.at(str(tmp_path / name)))) for name in ("one", "same", "other"))
    assert one == same != other


def test_a_list_that_changes_during_a_run_stops_it(blocklist: UrlBlocklist) -> None:
    Path(blocklist.location).write_text("other.org\n")
    with pytest.raises(RunError, match=r"the blocklist '.*' has changed since the run was asked for"):
        reason(blocklist, "https://example.com/")


def test_a_list_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot read the blocklist '.*none': No such file"):
        UrlBlocklist.at(str(tmp_path / "none"))
    (tmp_path / "empty").write_text("# nothing\n\n")
    with pytest.raises(RequestError, match=r"the blocklist '.*empty' has no entries"):
        UrlBlocklist.at(str(tmp_path / "empty"))
