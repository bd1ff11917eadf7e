"""The rule of removing repeats in plain Python, to compare the fast one with, and what a build of it leaves."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pipeline.dedup.remove_repeats import RemoveRepeats
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import Executor, InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Facts
from pipeline.workflow.unit import open_artifact
from tests.dedup.corpora import Drop, Given


class Passage(NamedTuple):
    """A stretch of a document's bytes, and what it is compared by."""

    start: int
    end: int
    key: object


class Place(NamedTuple):
    """A passage of a document, by the document's number."""

    document: int
    start: int
    end: int


@dataclass
class Span:
    """A stretch that goes, and who holds its first and its last passage."""

    start: int
    end: int
    passages: int
    first_holder: Place
    last_holder: Place


@dataclass
class Rule:
    """What the rule makes of documents."""

    drops: dict[int, Drop] = field(default_factory=dict)
    spans: dict[int, list[Span]] = field(default_factory=dict)
    held: dict[object, Place] = field(default_factory=dict)


def ink(text: bytes) -> int:
    return sum(byte > 0x20 for byte in text)


def union(stretches: Sequence[tuple[int, int]]) -> set[int]:
    return {place for start, end in stretches for place in range(start, end)}


def by_the_rule(texts: Sequence[bytes], passages_of: Callable[[bytes], list[Passage]], remain: float, reason: str) -> Rule:
    """Decide document by document."""
    rule = Rule()
    for number, text in enumerate(texts):
        found, lost, gone = dict[object, Place](), list[tuple[Place, Place]](), list[tuple[Place, Place]]()
        for passage in passages_of(text):
            place = Place(number, passage.start, passage.end)
            if passage.key in rule.held:
                lost.append((place, rule.held[passage.key]))
                gone.append(lost[-1])
            elif passage.key not in found:
                found[passage.key] = place
            elif found[passage.key].end <= place.start:
                gone.append((place, found[passage.key]))
        lost_ink, gone_ink = (
            sum(text[place] > 0x20 for place in union([(one.start, one.end) for one, _ in some])) for some in (lost, gone)
        )
        left = ink(text) - gone_ink
        if lost_ink and (not left or left < remain * (left + lost_ink)):
            rule.drops[number] = Drop(_match(text, lost), lost_ink / (left + lost_ink), reason)
        else:
            rule.held |= found
            rule.spans[number] = _spans(gone)
    return rule


def _match(text: bytes, lost: Sequence[tuple[Place, Place]]) -> int:
    """Who holds most: each byte counts for the first passage that it is lost with."""
    counts, seen = Counter[int](), set[int]()
    for place, holder in lost:
        fresh = set(range(place.start, place.end)) - seen
        counts[holder.document] += sum(text[byte] > 0x20 for byte in fresh)
        seen |= fresh
    return min(counts, key=lambda document: (-counts[document], document))


def _spans(gone: Sequence[tuple[Place, Place]]) -> list[Span]:
    spans: list[Span] = []
    for place, holder in gone:
        if spans and place.start <= spans[-1].end:
            spans[-1].end, spans[-1].last_holder = place.end, holder
            spans[-1].passages += 1
        else:
            spans.append(Span(place.start, place.end, 1, holder, holder))
    return spans


def without(text: bytes, stretches: Sequence[tuple[int, int]]) -> str:
    """A text without some stretches; a character that is cut through stays."""
    gone = union(stretches)
    kept, place = "", 0
    for character in text.decode():
        size = len(character.encode())
        kept += "" if gone >= set(range(place, place + size)) else character
        place += size
    return kept


@dataclass(frozen=True)
class Removal:
    """The texts that were kept, by number, the drops, the facts, and the digest of the bytes."""

    texts: dict[int, str]
    drops: dict[int, Drop]
    facts: Facts
    content: str


def removed(kind: type[RemoveRepeats], shards: Sequence[Sequence[str]], executor: Executor | None = None, **options: object) -> Removal:
    """Build a step of a kind on documents that are numbered from 0 on, in a root of its own."""
    with TemporaryDirectory() as folder:
        step = kind(documents=(Given(shards=tuple(map(tuple, shards))),), **options)  # type: ignore[arg-type]
        return built(step, open_store(str(Path(folder, "root"))), executor)


def built(step: RemoveRepeats, store: Store, executor: Executor | None = None) -> Removal:
    """Build a step on `Given` documents."""
    run([step], store, executor or InlineExecutor())
    artifact = open_artifact(store, step)
    texts = {int(document.id[1:]): document.text for shard in artifact.shards for document in artifact.read(shard)}
    rows = artifact.dropped().to_pylist()
    drops = {int(row["id"][1:]): Drop(int(row["match"][1:]), row["similarity"], row["reason"]) for row in rows}
    return Removal(texts, drops, artifact.facts, artifact.manifest.content)


def in_shards(texts: Sequence[str], places: Sequence[int]) -> list[Sequence[str]]:
    """Texts in shards that end at some places."""
    ends = sorted({min(place, len(texts)) for place in places} | {len(texts)})
    return [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]
