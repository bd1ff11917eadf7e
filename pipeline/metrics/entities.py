"""Named entities among tags, and how many of them were found, as conlleval counts (Tjong Kim Sang and De Meulder, 2003).

Entities count whole: one is found where its first word, its last word and its type are all right. Tags are read leniently, as conlleval
and seqeval read them: an I- that continues nothing begins an entity. So IOB1 and BIO give the same entities.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGINS, GOES_ON, ENDS = frozenset("BSU"), frozenset("IMEL"), frozenset("ESLU")
"""What tags begin with: B and I, and in schemes that mark an entity's last word and its only one, E and S, or L and U."""


class Entity(NamedTuple):
    """The words [begin, end) of a sentence, and what they name."""

    type: str
    begin: int
    end: int


def is_tag(tag: str) -> bool:
    """Whether a tag says where an entity is: O, or B-TYPE, I-TYPE, or the like of BIOES, BILOU and BMES."""
    return tag == OUTSIDE or (tag[:1] in BEGINS | GOES_ON and tag[1:2] == "-" and len(tag) > len("B-"))


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence in their order. A well-formed sequence of any scheme gives what it means, and any other something."""
    found: list[Entity] = []
    before = OUTSIDE
    for place, tag in enumerate(tags):
        if tag[0] in GOES_ON and before != OUTSIDE and before[0] not in ENDS and tag[2:] == before[2:]:
            found[-1] = found[-1]._replace(end=place + 1)
        elif tag != OUTSIDE:
            found.append(Entity(tag[2:], place, place + 1))
        before = tag
    return found


def as_bio(tags: Sequence[str]) -> list[str]:
    """The same entities in BIO (IOB2): B- at the first word of each, I- at the others."""
    bio = [OUTSIDE] * len(tags)
    for entity in entities(tags):
        bio[entity.begin : entity.end] = [f"B-{entity.type}", *[f"I-{entity.type}"] * (entity.end - entity.begin - 1)]
    return bio


def entity_scores(expected: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """What the tags of one sentence count for: hits, misses and false alarms of each type."""
    right, found = set(entities(expected)), set(entities(said))
    counts = Counter[str]()
    for kind, those in (("hit", right & found), ("missed", right - found), ("false", found - right)):
        counts.update(f"{kind}/{entity.type}" for entity in those)
    return {name: float(count) for name, count in sorted(counts.items())}


def entity_metrics(totals: Mapping[str, float]) -> dict[str, float]:
    """`precision`, `recall` and `f1` over all entities (micro), and `f1/TYPE` of each type; 0 where nothing is to be divided by."""
    counts: dict[str, dict[str, float]] = {}
    for name, count in totals.items():
        kind, slash, entity_type = name.partition("/")
        if slash:
            counts.setdefault(entity_type, {})[kind] = count
    hits, missed, false = (sum(each.get(kind, 0.0) for each in counts.values()) for kind in ("hit", "missed", "false"))
    overall = {"precision": _share(hits, hits + false), "recall": _share(hits, hits + missed), "f1": _f1(hits, missed, false)}
    types = {name: _f1(*(each.get(kind, 0.0) for kind in ("hit", "missed", "false"))) for name, each in sorted(counts.items())}
    return overall | {f"f1/{name}": value for name, value in types.items()}


def _f1(hits: float, missed: float, false: float) -> float:
    return _share(2 * hits, 2 * hits + missed + false)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
