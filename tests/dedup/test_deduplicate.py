"""The promises of Deduplicate, from documents to what is kept and the ledger of what is not."""

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import clusters, deduplicate
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.errors import RequestError
from tests.dedup.corpora import Drop, Given, by_the_rule, deduplicated, jaccard, result_of
from tests.executors import Backwards


def page(number: int, length: int = 120) -> list[str]:
    """The words of a page that is like no other page."""
    return [f"w{number}x{place}" for place in range(length)]


@st.composite
def corpora(draw: st.DrawFn, edits: tuple[int, ...], spread: bool) -> list[str]:
    """Pages and edited copies of pages and of copies; edits stand apart from each other where `spread`, else together."""
    pages = [page(number) for number in range(draw(st.integers(1, 4)))]
    for number in range(draw(st.integers(0, 8))):
        words = list(draw(st.sampled_from(pages)))
        edited = draw(st.sampled_from(edits))
        for edit in range(edited):
            words[(7 * edit + draw(st.integers(0, 2))) % len(words) if spread else -1 - edit] = f"e{number}x{edit}"
        pages.append(words)
    order = draw(st.permutations(pages))
    space = st.sampled_from([" ", "  ", "\n"])
    small = st.lists(st.sampled_from(["", "short", " short\n"]), max_size=3)
    return [draw(space).join(words) for words in order] + draw(small)


def cut(texts: list[str], places: list[int]) -> list[list[str]]:
    """The texts as shards that end at some places."""
    ends = sorted({min(place, len(texts)) for place in places} | {len(texts)})
    return [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@settings(deadline=None, max_examples=25)
@given(corpora(edits=(0, 1, 2, 4, 9), spread=True), st.lists(st.integers(0, 14), max_size=3))
def test_every_drop_names_an_earlier_kept_document_that_is_truly_like_it(texts: list[str], places: list[int]) -> None:
    found = deduplicated(cut(texts, places), similarity=0.6)
    for later, drop in found.drops.items():
        assert drop.match < later
        assert drop.match in found.kept
        if drop.reason == "exact-duplicate":
            assert texts[later].split() == texts[drop.match].split()
            assert drop.similarity == 1.0
        else:
            assert drop.similarity == jaccard(texts[later], texts[drop.match]) >= 0.6


@settings(deadline=None, max_examples=25)
@given(corpora(edits=(0, 1, 3, 60), spread=False), st.lists(st.integers(0, 14), max_size=3))
def test_clear_cases_are_decided_exactly_by_the_rule(texts: list[str], places: list[int]) -> None:
    found = deduplicated(cut(texts, places), similarity=0.8)
    assert found.drops == by_the_rule(texts, 0.8)
    assert found.kept == [number for number in range(len(texts)) if number not in found.drops]


@settings(deadline=None, max_examples=15)
@given(corpora(edits=(0, 1, 4, 9), spread=True), corpora(edits=(0, 1, 4, 9), spread=True))
def test_appending_documents_never_changes_an_earlier_decision(old: list[str], new: list[str]) -> None:
    before = deduplicated([old], similarity=0.6)
    after = deduplicated([old, new], similarity=0.6)
    assert [number for number in after.kept if number < len(old)] == before.kept
    assert {number: drop for number, drop in after.drops.items() if number < len(old)} == before.drops


@settings(deadline=None, max_examples=15)
@given(corpora(edits=(0, 1, 4, 9), spread=True), st.lists(st.integers(0, 14), max_size=4))
def test_decisions_do_not_depend_on_how_documents_are_cut_into_shards(texts: list[str], places: list[int]) -> None:
    whole, parts = deduplicated([texts], similarity=0.6), deduplicated(cut(texts, places), similarity=0.6)
    assert (whole.kept, whole.drops, whole.facts) == (parts.kept, parts.drops, parts.facts)


def likenesses(seed: int, count: int = 60) -> list[list[str]]:
    """Shards of pages and near copies of them."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        words = page(rng.randrange(20))
        for place in rng.sample(range(len(words)), rng.choice((0, 1, 2, 5))):
            words[place] = f"e{rng.random()}"
        texts.append(" ".join(words))
    return [texts[:25], texts[25:26], [], texts[26:]]


def test_the_bytes_do_not_depend_on_the_order_in_which_units_are_done() -> None:
    assert deduplicated(likenesses(1)).content == deduplicated(likenesses(1), Backwards()).content


def test_the_bytes_do_not_depend_on_how_clusters_are_packed_into_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = deduplicated(likenesses(2))
    monkeypatch.setattr(clusters, "BIN_SHINGLES", 300)
    assert packed.content == deduplicated(likenesses(2)).content
    assert packed.drops


def test_the_bytes_do_not_depend_on_how_keys_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = deduplicated(likenesses(2))
    monkeypatch.setattr(deduplicate, "KEYS_AT_ONCE", 7)
    assert deduplicated(likenesses(2)) == whole
    assert {drop.reason for drop in whole.drops.values()} == {"exact-duplicate", "near-duplicate"}


def test_decisions_do_not_depend_on_the_record_batches_of_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = deduplicated(likenesses(4))
    monkeypatch.setattr("pipeline.documents.BATCH_BYTES", 3000)
    parts = deduplicated(likenesses(4))
    assert (whole.kept, whole.drops, whole.facts) == (parts.kept, parts.drops, parts.facts)
    assert whole.content != parts.content


def test_what_is_read_is_kept_or_dropped_by_source_and_reason() -> None:
    found = deduplicated(likenesses(3))
    dropped = found.facts["dropped"]
    assert found.facts["read"] == 60 == found.facts["kept"] + sum(dropped.values())
    assert found.facts["kept"] == len(found.kept)
    assert dropped == Counter(drop.reason for drop in found.drops.values())
    texts = [text for shard in likenesses(3) for text in shard]
    characters = sum(len(texts[number]) for number in found.kept)
    assert found.facts["sources"] == {"given": {"kept": len(found.kept), "characters": characters, "dropped": len(found.drops)}}


def test_there_is_no_transitive_closure() -> None:
    words = page(0)
    chain = [" ".join(words[12 * link : 12 * link + 80]) for link in range(3)]
    assert jaccard(chain[0], chain[1]) > 0.7
    assert jaccard(chain[1], chain[2]) > 0.7
    assert jaccard(chain[0], chain[2]) < 0.6
    found = deduplicated([chain], similarity=0.7)
    assert found.kept == [0, 2]
    assert found.drops == {1: Drop(0, jaccard(chain[0], chain[1]), "near-duplicate")}


def test_a_copy_of_a_dropped_document_is_dropped_for_the_same_earlier_one() -> None:
    first = " ".join(page(0))
    alike = first.replace("w0x5 ", "other ")
    found = deduplicated([[first, alike], [f"  {alike}\n", first.upper(), first]])
    assert {number: (drop.match, drop.reason) for number, drop in found.drops.items()} == {
        1: (0, "near-duplicate"),
        2: (0, "near-duplicate"),
        3: (0, "near-duplicate"),
        4: (0, "exact-duplicate"),
    }
    assert found.drops[1].similarity == found.drops[2].similarity == jaccard(first, alike)
    assert found.drops[3].similarity == 1.0


def test_chinese_is_compared_as_finely_as_english() -> None:
    rng = random.Random(5)
    text = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(300))
    other = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(300))
    edited = f"{text[:150]}改{text[151:]}"
    found = deduplicated([[text, edited, other, text[:100] + other[100:]]])
    assert found.drops == {1: Drop(0, 291 / 301, "near-duplicate")}


def test_characters_can_be_counted_instead_of_words() -> None:
    text, edited = "abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz012345678x"
    assert deduplicated([[text, edited]], unit="word").drops == {}
    assert deduplicated([[text, edited]], unit="character").drops == {1: Drop(0, 31 / 33, "near-duplicate")}


def test_without_a_similarity_only_equal_texts_are_dropped() -> None:
    first = " ".join(page(0))
    found = deduplicated([[first, first.upper()], [first.replace(" ", "\n")]], similarity=None)
    assert found.drops == {2: Drop(0, 1.0, "exact-duplicate")}


def test_texts_with_nothing_to_be_seen_are_equal_or_kept() -> None:
    assert deduplicated([["", " \n", "\u200b", "\u200b\u200b"]]).drops == {1: Drop(0, 1.0, "exact-duplicate")}


def test_an_earlier_input_wins() -> None:
    one, other = Given(shards=(("same text here", "only here"),)), Given(shards=(("other there",), ("same  text here",)), name_prefix="e")
    found = result_of(Deduplicate(documents=(one, other)))
    assert found.kept == [0, 1, 0]
    assert found.drops == {1: Drop(0, 1.0, "exact-duplicate")}


@pytest.mark.parametrize("shards", [[], [[]], [[], []]])
def test_no_documents_are_no_error(shards: list[list[str]]) -> None:
    found = deduplicated(shards)
    assert (found.kept, found.drops, found.facts["read"]) == ([], {}, 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("documents", (), "documents is .* write .step,. for one"),
        ("similarity", 0.0, "similarity is 0.0: use more than 0"),
        ("similarity", 1.5, "similarity is 1.5: use more than 0"),
        ("unit", "line", "unit is 'line': use 'word' or 'character'"),
        ("shingle", 0, "shingle is 0: use 1 or more"),
        ("permutations", 0, "permutations is 0: use 1 or more"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_remedy(field: str, value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Deduplicate(**{"documents": (Given(shards=()),), field: value})  # type: ignore[arg-type]


def test_a_recipe_is_built_without_a_compiler() -> None:
    code = "import sys, pipeline.dedup.deduplicate; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
