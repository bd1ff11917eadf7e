"""What every filter promises. Filters are found by themselves: a new file in pipeline/filters is checked here at once."""

import dataclasses
import importlib
import json
import pickle
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.filters
from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.workflow.fingerprint import canonical, fingerprint, identity_fields

REASON = re.compile(r"[a-z]+(-[a-z]+)*")
FRAGMENTS = [
    *("word ", "don't ", "你好，世界。", "ひらがな", "한국어 ", "สวัสดี", "שלום ", "\u202eمرحبا ", "👩\u200d👧", "e\u0301", "\0", "\ufeff"),
    *("\r\n", "\n\n", "\u2028", " ", "#", "...", "…", "……", "• ", "- ", "'", "_", "0", "return None\n", "x" * 60, "\x1b[0m", "ﬁ", "\ud800"),
]
LONG = 200_000
PIECES = ("a", "a ", "汉", ".", "#\n", "’", "\n", "\n \n", "\u0301", "👩\u200d", "\u202eا", "0123456789", "… ", "\ud800")
HOSTILE = [
    *(piece * LONG for piece in PIECES),
    " " * LONG + "x",
    "ab" * LONG + "\n" + "ab" * LONG,
    "".join(chr(code) for code in range(0x3000)),
]
ORDINARY = ["The quick brown fox jumps over the lazy dog. ", "敏捷的棕色狐狸跳过了懒狗。", "def f():\n    return 1\n\n"]
TEXTS = [*FRAGMENTS, "", *ORDINARY, *(text * 20 for text in ORDINARY)]
ELSEWHERE = """
import json, pickle, sys
from pipeline.documents import Document
filters, texts = pickle.load(sys.stdin.buffer)
print(json.dumps([[filter.verdict(Document("id", text, "s", "o", "")) for text in texts] for filter in filters]))
"""


def found(cls: type[Any]) -> Iterator[type[Filter]]:
    """The concrete classes below `cls` that live in pipeline/filters."""
    for below in cls.__subclasses__():
        if below.__module__.startswith("pipeline.filters.") and not below.__abstractmethods__:
            yield below
        yield from found(below)


for module in pkgutil.walk_packages(pipeline.filters.__path__, "pipeline.filters."):
    importlib.import_module(module.name)
FILTERS = sorted(found(Filter), key=lambda cls: cls.__name__)
every_filter = pytest.mark.parametrize("cls", FILTERS, ids=lambda cls: cls.__name__)


def document(text: str) -> Document:
    return Document("id", text, "source", "origin#0", "2026-11")


def thresholds(rule: Filter) -> Iterator[tuple[str, Any]]:
    """The fields that hold numbers, or tuples of numbers."""
    for field in dataclasses.fields(rule):
        value = getattr(rule, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if numbers and all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            yield field.name, value


def test_there_are_filters_and_their_names_differ() -> None:
    assert len({cls.name() for cls in FILTERS}) == len(FILTERS) > 0


@every_filter
def test_a_filter_is_a_frozen_dataclass_that_says_what_it_is_for_and_has_defaults(cls: type[Filter]) -> None:
    rule = cls()
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}(")
    with pytest.raises(TypeError):
        cls(1)  # type: ignore[call-arg]
    for field, _ in identity_fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field, None)


@every_filter
@settings(deadline=None, max_examples=40)
@given(text=st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join))
def test_a_verdict_is_none_or_a_kebab_case_reason_and_a_function_of_the_document(cls: type[Filter], text: str) -> None:
    rule = cls()
    reason = rule.verdict(document(text))
    rule.verdict(document(f"{text} and another"))
    assert reason is None or REASON.fullmatch(reason)
    assert rule.verdict(document(text)) == reason


@every_filter
def test_hostile_and_very_long_texts_get_a_verdict(cls: type[Filter]) -> None:
    for text in HOSTILE:
        reason = cls().verdict(document(text))
        assert reason is None or REASON.fullmatch(reason)


@every_filter
def test_a_copy_by_pickle_is_the_same_filter(cls: type[Filter]) -> None:
    rule = cls()
    copy = pickle.loads(pickle.dumps(rule))
    assert copy == rule
    assert [copy.verdict(document(text)) for text in TEXTS] == [rule.verdict(document(text)) for text in TEXTS]


def test_verdicts_are_the_same_in_every_process() -> None:
    texts = [text for text in TEXTS if text.isprintable() or text.isascii()]
    rules = [cls() for cls in FILTERS]
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickle.dumps((rules, texts)), capture_output=True, check=True)
    assert json.loads(done.stdout) == [[rule.verdict(document(text)) for text in texts] for rule in rules]


@every_filter
def test_a_fingerprint_depends_on_every_threshold_and_on_nothing_else(cls: type[Filter]) -> None:
    rule = cls()
    assert fingerprint(canonical(rule)) == fingerprint(canonical(cls()))
    for field, value in thresholds(rule):
        smaller = tuple(number / 2 for number in value) if isinstance(value, tuple) else value / 2
        assert fingerprint(canonical(dataclasses.replace(rule, **{field: smaller}))) != fingerprint(canonical(rule))


@every_filter
@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_threshold_that_is_no_threshold_is_refused_by_its_name(cls: type[Filter], wrong: float) -> None:
    for field, value in thresholds(cls()):
        held = (wrong,) * len(value) if isinstance(value, tuple) else wrong
        with pytest.raises(RequestError, match=rf"{cls.__name__}\.{field} is "):
            dataclasses.replace(cls(), **{field: held})
