"""The promises of DeduplicateSubstrings; what it has in common with DeduplicateParagraphs is tested there."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import remove_repeats
from pipeline.dedup.substrings import DeduplicateSubstrings
from pipeline.dedup.windows import BASE, REMEMBERED
from pipeline.errors import RequestError
from tests.dedup.corpora import Given
from tests.dedup.removal import Passage, Removal, Rule, by_the_rule, in_shards, ink, removed, without
from tests.dedup.test_paragraphs import Backwards

REASON = "repeated-substrings"
LENGTH, GRAM, REACH = 16, 8, 8
SURE = LENGTH + REACH
"""What repeats over so many bytes is found."""

letters = st.sampled_from(["ab", "abcdefgh \n", "aé中\U0001f600", "中文天地", "e\u0301 \u200d"])
pieces = letters.flatmap(lambda alphabet: st.text(alphabet, min_size=1, max_size=50))


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Texts that are put together from few pieces."""
    pool = draw(st.lists(pieces, min_size=1, max_size=5))
    part = st.one_of(st.sampled_from(pool), st.sampled_from(pool).map(lambda piece: piece[: len(piece) // 2] * 4))
    return ["".join(draw(st.lists(part, max_size=6))) for _ in range(draw(st.integers(0, 6)))]


def gram_hash(gram: bytes) -> int:
    value = 0
    for byte in gram:
        value = (value * int(BASE) + byte) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def window_passages(text: bytes) -> list[Passage]:
    """The windows that begin or end with their least gram, but for those that overlap an equal one of the last few."""
    hashes = [gram_hash(text[start : start + GRAM]) for start in range(len(text) - GRAM + 1)]
    found: list[Passage] = []
    for start in range(len(text) - LENGTH + 1):
        window, inside = text[start : start + LENGTH], hashes[start : start + LENGTH - GRAM + 1]
        known = any(passage.key == window and passage.end > start for passage in found[-REMEMBERED:])
        if min(inside) in (inside[0], inside[-1]) and not known:
            found.append(Passage(start, start + LENGTH, window))
    return found


def alike(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common from their start on."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))


def cuts_of(data: Sequence[bytes], rule: Rule) -> dict[int, list[tuple[int, int]]]:
    """The spans of kept documents, as far as their texts and those of the holders go on alike, up to REACH."""
    cuts = {}
    for number, spans in rule.spans.items():
        text, found = data[number], list[tuple[int, int]]()
        for span in spans:
            left, right = span.first_holder, span.last_holder
            before = data[left.document][max(0, left.start - REACH) : left.start]
            after = data[right.document][right.end : right.end + REACH]
            found.append((span.start - alike(text[: span.start][::-1], before[::-1]), span.end + alike(text[span.end :], after)))
        seen = any(byte > 0x20 for place, byte in enumerate(text) if not any(start <= place < end for start, end in found))
        cuts[number] = found if seen else [(span.start, span.end) for span in spans]
    return cuts


def substrings(shards: Sequence[Sequence[str]], **options: object) -> Removal:
    return removed(DeduplicateSubstrings, shards, **{"length": LENGTH, **options})  # type: ignore[arg-type]


def earlier(data: Sequence[bytes], kept: Sequence[int], number: int, start: int, size: int) -> bool:
    """Whether a stretch of a document stands in an earlier kept one, or in the same one at least its size before."""
    stretch = data[number][start : start + size]
    return any(stretch in data[other] for other in kept if other < number) or stretch in data[number][:start]


@settings(deadline=None, max_examples=80)
@given(corpora(), st.lists(st.integers(0, 6), max_size=3), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_what_goes_is_what_the_rule_says(texts: list[str], places: list[int], remain: float) -> None:
    found = substrings(in_shards(texts, places), remain=remain)
    data = [text.encode() for text in texts]
    rule = by_the_rule(data, window_passages, remain, REASON)
    assert found.drops == rule.drops
    assert found.texts == {number: without(data[number], cuts) for number, cuts in cuts_of(data, rule).items()}


@settings(deadline=None, max_examples=300)
@given(corpora())
def test_by_the_rule_all_that_goes_is_a_true_repeat_and_no_long_repeat_stays_whole(texts: list[str]) -> None:
    data = [text.encode() for text in texts]
    rule = by_the_rule(data, window_passages, 0.2, REASON)
    kept = list(rule.spans)
    for number, cuts in cuts_of(data, rule).items():
        text = data[number]
        gone = {place for start, end in cuts for place in range(start, end)}
        repeats = {start for start in range(len(text) - LENGTH + 1) if earlier(data, kept, number, start, LENGTH)}
        assert gone <= {place for start in repeats for place in range(start, start + LENGTH)}
        for start in range(len(text) - SURE + 1):
            whole = gone.isdisjoint(range(start, start + SURE))
            assert not (whole and earlier(data, kept, number, start, SURE))


@settings(deadline=None, max_examples=20)
@given(corpora(), corpora())
def test_appending_documents_never_changes_an_earlier_decision(old: list[str], new: list[str]) -> None:
    before, after = (substrings(shards) for shards in ([old], [old, new]))
    assert {number: text for number, text in after.texts.items() if number < len(old)} == before.texts
    assert {number: drop for number, drop in after.drops.items() if number < len(old)} == before.drops


def test_any_number_of_units_in_any_order_leaves_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [f"part {number} is like nothing else {number * 7} in here; " for number in range(8)]
    shards = [["".join(parts[shard : shard + size]) + f"end {shard} {size}" for size in range(5)] for shard in range(4)]
    once = substrings(shards)
    monkeypatch.setattr(remove_repeats, "PASSAGES_A_UNIT", 7)
    assert substrings(shards, executor=Backwards()) == once
    assert once.drops
    assert once.facts["removed"]["given"]["passages"] > 5


def test_a_passage_goes_as_far_as_both_texts_go_on_alike() -> None:
    passage = "".join(f"sentence {number} of a passage that is quoted; " for number in range(12))
    texts = [f"{passage}the first ends here", f"the second begins so: {passage}and this is how it ends"]
    found = substrings([texts], length=200)
    assert found.texts == {0: texts[0], 1: "the second begins so: and this is how it ends"}
    assert found.facts["removed"]["given"]["characters"] == len(passage)


def test_chinese_is_never_cut_inside_a_character() -> None:
    poem = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少" * 2 + "白日依山尽黄河入海流欲穷千里目更上一层楼"
    texts = [f"一{poem}二", f"甲乙丙{poem}丁戊己庚辛壬癸子丑寅卯"]
    found = substrings([texts], length=50)
    assert found.drops == {}
    assert found.texts[1] == "甲乙丙丁戊己庚辛壬癸子丑寅卯"


def test_a_document_of_which_too_little_is_left_names_who_holds_most_of_it() -> None:
    one, two = ("".join(f"{word} {number * number} and so on; " for number in range(20)) for word in ("first", "second"))
    found = substrings([[one, two], [one[:200] + two, "new " + one[100:]]], length=64)
    assert {number: drop.match for number, drop in found.drops.items()} == {2: 1, 3: 0}
    assert all(drop.similarity > 0.8 for drop in found.drops.values())


def test_a_text_that_repeats_itself_is_shortened_to_what_it_repeats() -> None:
    found = substrings([["a" * 1000, "ab" * 500 + "!"]], remain=1.0)
    assert len(found.texts[0]) == LENGTH
    assert len(found.texts[1]) < 3 * LENGTH


def test_what_is_left_of_a_kept_document_can_be_seen() -> None:
    text = "".join(f"{number} {number * number} " for number in range(40))
    found = substrings([[text, text[7:30], f" {text[60:90]}\n"]], remain=0.0)
    assert all(ink(kept.encode()) for kept in found.texts.values())


@pytest.mark.parametrize("length", [0, 15])
def test_a_length_that_finds_chance_is_refused_with_the_remedy(length: int) -> None:
    with pytest.raises(RequestError, match=f"length is {length}: use 16 bytes or more"):
        DeduplicateSubstrings(documents=(Given(shards=()),), length=length)
