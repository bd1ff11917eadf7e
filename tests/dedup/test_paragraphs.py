"""The promises of DeduplicateParagraphs, and of what it has in common with DeduplicateSubstrings."""

import pickle
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.dedup import lines as lines_module
from pipeline.dedup import remove_repeats
from pipeline.dedup.paragraphs import DeduplicateParagraphs
from pipeline.errors import RequestError
from pipeline.storage import Store
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.unit import UnitTask
from tests.dedup.corpora import Drop, Given
from tests.dedup.removal import Passage, Removal, built, by_the_rule, in_shards, ink, removed, without

REASON = "repeated-paragraphs"
LEAST = 4
LINES = [
    "first line",
    "First  line ",
    "line 17",
    "line 98",
    "abc",
    "abcd",
    "",
    " ",
    "\t",
    "……",
    "“abcd”",
    "é",
    "é\u0301toile",
    "第一行诗",
    "\U0001f600 " * 3,
]
lines = st.lists(st.sampled_from([*LINES, "abcd\r"]), max_size=9).map("\n".join)
texts = st.lists(lines, max_size=8)
Shards = Sequence[Sequence[str]]


class Backwards:
    """Does the units of a phase in the opposite order, each as it arrives at a worker."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        for task in reversed(tasks):
            yield task.index, pickle.loads(pickle.dumps(task)).run()

    def gang(self, *_: object) -> None:
        raise NotImplementedError


def form(line: str) -> str:
    """What a line is compared by."""
    kept = ""
    for character in line:
        category = unicodedata.category(character)
        if character.isspace():
            kept += " "
        elif category == "Nd":
            kept += "0"
        elif category != "Cc" and (character < "\x80" or not category.startswith("P")):
            kept += character.lower()[0]
    return " ".join(kept.split())


def line_passages(text: bytes) -> list[Passage]:
    found, place = list[Passage](), 0
    for line in text.split(b"\n"):
        end = min(place + len(line) + 1, len(text))
        if len(form(line.decode())) >= LEAST:
            found.append(Passage(place, end, form(line.decode())))
        place = end
    return found


def paragraph_passages(text: bytes) -> list[Passage]:
    found, place, blank = list[tuple[int, list[str]]](), 0, True
    for line in text.split(b"\n"):
        if form(line.decode()):
            found = [*found, (place, [])] if blank else found
            found[-1][1].append(form(line.decode()))
        blank = not form(line.decode())
        place += len(line) + 1
    ends = [*(start for start, _ in found[1:]), len(text)]
    passages = [Passage(start, end, " ".join(forms)) for (start, forms), end in zip(found, ends, strict=False)]
    return [passage for passage in passages if len(str(passage.key)) >= LEAST]


PASSAGES = {"line": line_passages, "paragraph": paragraph_passages}


def paragraphs(shards: Shards, **options: object) -> Removal:
    return removed(DeduplicateParagraphs, shards, **options)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=80)
@given(texts, st.lists(st.integers(0, 8), max_size=3), st.sampled_from(["line", "paragraph"]), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@example(["abcd\n\n\nfirst line\n\n", "first line"], [1], "paragraph", 0.0)
@example(["first line", "first line" + "\nthis is left" * 5], [], "line", 0.5)
@example(["abcd\nabcd", "abcdabcd", "abcd abcd"], [], "paragraph", 0.5)
def test_what_goes_is_what_the_rule_says(texts: list[str], places: list[int], unit: str, remain: float) -> None:
    found = paragraphs(in_shards(texts, places), unit=unit, least=LEAST, remain=remain)
    data = [text.encode() for text in texts]
    rule = by_the_rule(data, PASSAGES[unit], remain, REASON)
    assert found.drops == rule.drops
    assert found.texts == {
        number: without(data[number], [(span.start, span.end) for span in spans]) for number, spans in rule.spans.items()
    }


@settings(deadline=None, max_examples=20)
@given(texts, texts, st.sampled_from(["line", "paragraph"]))
def test_appending_documents_never_changes_an_earlier_decision(old: list[str], new: list[str], unit: str) -> None:
    before, after = (paragraphs(shards, unit=unit, least=LEAST) for shards in ([old], [old, new]))
    assert {number: text for number, text in after.texts.items() if number < len(old)} == before.texts
    assert {number: drop for number, drop in after.drops.items() if number < len(old)} == before.drops


@settings(deadline=None, max_examples=20)
@given(texts, st.sampled_from(["line", "paragraph"]))
def test_a_line_that_goes_stays_in_an_earlier_kept_document_or_earlier_in_its_own(texts: list[str], unit: str) -> None:
    found = paragraphs([texts], unit=unit, least=LEAST)
    for number, text in enumerate(texts):
        kept = {form(line) for earlier in range(number + 1) for line in found.texts.get(earlier, "").split("\n")}
        lines = [form(line) for line in text.split("\n")]
        if number in found.texts:
            assert kept >= set(lines)
        elif found.drops[number].similarity == 1.0:
            assert kept >= {line for line in lines if len(line) >= LEAST}


def test_any_number_of_units_in_any_order_leaves_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [["\n".join(f"line {letter * size} {size}" for letter in "abcdefgh"[shard:]) for size in range(5)] for shard in range(4)]
    once = paragraphs(shards, least=3)
    monkeypatch.setattr(remove_repeats, "PASSAGES_A_UNIT", 7)
    assert paragraphs(shards, executor=Backwards(), least=3) == once
    assert once.drops
    assert once.facts["removed"]["given"]["passages"] > 5


def test_what_is_read_is_kept_or_dropped_and_what_goes_is_counted_by_source() -> None:
    texts = ["one line of text\nmenu of the page\n", "Menu of the page\n中文也是一行。\nrest of it\n", "menu  of the page\n"]
    found = paragraphs([texts], least=6)
    assert found.texts == {0: texts[0], 1: "中文也是一行。\nrest of it\n"}
    assert found.drops == {2: Drop(0, 1.0, REASON)}
    assert (found.facts["read"], found.facts["kept"], found.facts["dropped"]) == (3, 2, {REASON: 1})
    assert found.facts["removed"] == {"given": {"characters": 17, "documents": 1, "passages": 1}}
    characters = sum(map(len, found.texts.values()))
    assert found.facts["sources"] == {"given": {"kept": 2, "characters": characters, "dropped": 1}}
    assert characters + 17 == sum(map(len, texts[:2]))


def test_what_only_a_dropped_document_had_before_is_kept() -> None:
    menu, news = "\n".join(f"entry number {letter} of the long menu" for letter in "abcdefgh"), "this was not there before at all"
    found = paragraphs([[menu, f"{menu}\n{news}", news]])
    assert found.drops == {1: Drop(0, pytest.approx(1 - ink(news.encode()) / ink(f"{menu}{news}".encode())), REASON)}
    assert found.texts == {0: menu, 2: news}


def test_the_match_holds_most_of_what_is_lost() -> None:
    one, two, three = (
        "a line of the first document here",
        "the second one has a longer line than it",
        "a third line, and it is one of them",
    )
    found = paragraphs([[one, f"{two}\n{three}", f"{one}\n{two}\n{three}"]])
    assert found.drops == {2: Drop(1, 1.0, REASON)}


def test_a_document_that_repeats_itself_is_shortened_not_dropped() -> None:
    found = paragraphs([["the same line again and again, please\n" * 50]], remain=1.0)
    assert found.texts == {0: "the same line again and again, please\n"}


def test_documents_in_which_nothing_repeats_stay_as_they_are() -> None:
    texts = ["", "\n\n", " \n", "short\nshort\nshort", "\u3000\n", "no end of line but long enough to count"]
    assert paragraphs([texts]).texts == dict(enumerate(texts))


def test_an_earlier_input_wins(store: Store) -> None:
    line = "the line that both inputs have, long enough"
    inputs = (Given(shards=((line,),)), Given(shards=(("other",), (f"{line}\nmore", line)), name_prefix="d1"))
    found = built(DeduplicateParagraphs(documents=inputs, remain=0.0), store)
    assert found.texts == {0: line, 10: "other", 11: "more"}
    assert found.drops == {12: Drop(0, 1.0, REASON)}


def test_shards_that_lose_what_they_lost_are_not_written_again(store: Store) -> None:
    line = "a line that stays, whatever comes"
    old = Given(shards=((line,), ("b line that stays, whatever comes", f"c line that is left of two\n{line}")))
    before = Given(shards=(("nothing like it",),), name_prefix="e")
    after = Given(shards=((f"{line}\nand more of it that is new to all",),), name_prefix="f")

    def written() -> set[str]:
        return {entry.path for entry in store.list("deduplicate-paragraphs") if "/documents/" in entry.path}

    built(DeduplicateParagraphs(documents=(old,), least=20), store)
    first = written()
    built(DeduplicateParagraphs(documents=(before, old, after), least=20), store)
    assert len(first) == 2
    assert len(written() - first) == 2


def test_passages_are_equal_only_if_all_of_their_digests_is(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one line of the first text\nanother", "one line of the second text\none line of the first text\nthis"]
    expected = paragraphs([texts], least=20)
    whole = lines_module.digests

    def half(*arguments: Any) -> Any:
        found = whole(*arguments).copy()
        found[:, 0] = 7
        return found

    monkeypatch.setattr(lines_module, "digests", half)
    assert paragraphs([texts], least=20) == expected
    assert expected.texts[1] == "one line of the second text\nthis"


@pytest.mark.parametrize("shards", [[], [[]], [[], []]])
def test_no_documents_are_no_error(shards: Shards) -> None:
    assert paragraphs(shards).facts == {"read": 0, "kept": 0, "dropped": {}, "sources": {}, "removed": {}}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("documents", (), "documents is .* write .step,. for one"),
        ("remain", 1.5, "remain is 1.5: use a share between 0 and 1"),
        ("unit", "word", "unit is 'word': use 'line' or 'paragraph'"),
        ("least", 0, "least is 0: use 1 or more"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_remedy(field: str, value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        DeduplicateParagraphs(**{"documents": (Given(shards=()),), field: value})  # type: ignore[arg-type]


def test_a_recipe_is_built_without_a_compiler() -> None:
    code = "import sys, pipeline.dedup.paragraphs, pipeline.dedup.substrings; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
