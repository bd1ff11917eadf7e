"""A lease: one holder at a time, and the place of one that has died is taken."""

import json

import pytest

from infra.lease import Lease
from pipeline.errors import RunError
from pipeline.storage import Store


def test_a_second_holder_is_told_who_the_first_is(store: Store) -> None:
    with (
        Lease(store, "a/lease.json"),
        pytest.raises(RunError, match=r"is being changed by process \d+ on .* wait until it is done"),
        Lease(store, "a/lease.json"),
    ):
        pass


def test_it_is_free_again_after_it_was_held(store: Store) -> None:
    for _ in range(2):
        with Lease(store, "a/lease.json"):
            assert store.size("a/lease.json")
        assert store.size("a/lease.json") is None


@pytest.mark.parametrize("words", [b"", b"{}", b"[]", json.dumps({"heard": "2026-01-01T00:00:00+00:00"}).encode()])
def test_the_place_of_a_holder_that_is_silent_or_damaged_is_taken(words: bytes, store: Store) -> None:
    store.put("a/lease.json", words)
    with Lease(store, "a/lease.json"):
        assert json.loads(store.get("a/lease.json"))["process"]


def test_one_whose_place_was_taken_leaves_the_new_holder_alone(store: Store) -> None:
    with Lease(store, "a/lease.json"):
        store.put("a/lease.json", b'{"heard": "2026-01-01T00:00:00+00:00", "mark": "another"}')
    assert json.loads(store.get("a/lease.json"))["mark"] == "another"
