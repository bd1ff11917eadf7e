"""What owners of pages reserve is dropped, and nothing else."""

import json
from typing import Any

import pytest

from pipeline.documents import Document
from pipeline.filters.usage_signals import UsageSignals

DEFAULT = UsageSignals()


def reason(rule: UsageSignals = DEFAULT, **meta: Any) -> str | None:
    return rule.verdict(Document("id", "text", "source", "origin#0", "2026-11", json.dumps(meta)))


@pytest.mark.parametrize(
    "robots", ["noai", "NOAI", "noindex, noai", "noindex,noai,nofollow", "otherbot: noai", ["index", "noai, noimageai"]]
)
def test_pages_that_say_noai_are_dropped(robots: Any) -> None:
    assert reason(robots=robots) == "noai"


@pytest.mark.parametrize("robots", ["", "index, follow", "noindex", "noaid", "max-snippet:-1", None, 7, [], ["index"], {"noai": 1}])
def test_pages_that_say_other_things_are_kept(robots: Any) -> None:
    assert reason(robots=robots) is None


def test_images_count_where_it_is_asked_for() -> None:
    assert reason(robots="noimageai") is None
    assert reason(UsageSignals(images=True), robots="noimageai") == "noimageai"


@pytest.mark.parametrize(
    ("value", "dropped"), [("1", True), (1, True), (" 1 ", True), ("0", False), (0, False), (None, False), ("yes", False), (["1"], False)]
)
def test_a_reservation_is_one(value: Any, dropped: bool) -> None:
    assert reason(tdm_reservation=value) == ("tdm-reservation" if dropped else None)


def test_documents_without_these_fields_are_kept() -> None:
    assert reason() is None
    assert reason(title="robots: noai", text="noai") is None
